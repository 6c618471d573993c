"""Certificates of the public listener: chosen by name, renewed while connections stay open."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509

from gateway.config.settings.listener import CertificateSettings, TlsSettings

WATCH_SECONDS: Final = 5.0
_MOST_OCTETS: Final = 1 << 20
# forward secrecy and authenticated encryption alone; the suites of TLS 1.3 are all of that kind
_CIPHERS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

Stamp: TypeAlias = "tuple[int, int, int] | None"


class CertificateError(ValueError):
    """A certificate, key or authority cannot be used; the text names file and cause, never a content."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """One state of the files: contexts by name, the default among them, and when each file's one expires."""

    default: ssl.SSLContext
    by_name: dict[str, ssl.SSLContext]
    ends: dict[str, float]

    def choose(self, name: str | None) -> ssl.SSLContext:
        if name is None:
            return self.default
        lower = name.lower().rstrip(".")
        found = self.by_name.get(lower)
        if found is None:
            # a wildcard stands for exactly one label (RFC 9525 section 6.3)
            found = self.by_name.get("*." + lower.partition(".")[2])
        return found or self.default


class Certificates:
    """The listener's certificates; each handshake takes the newest one.

    Args:
        settings: the listener's TLS.

    Attributes:
        reloads: how often changed files were taken over.
        failures: how often they could not be.

    Raises:
        CertificateError: a file cannot be used.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self.settings = settings
        self.reloads = 0
        self.failures = 0
        self._stamps = self._look()
        self._chosen = _load(settings)
        self._lasting = self._front() if settings.client_ca is None else None

    @property
    def context(self) -> ssl.SSLContext:
        """What the next handshake begins with.

        Where clients are asked for certificates, each handshake has one of its own: OpenSSL keeps the
        sessions of TLS 1.2 with the context that a handshake began with, and one that is resumed by its id
        skips the check of the client's certificate, whichever authority holds by then (R73).
        """
        return self._front() if self._lasting is None else self._lasting

    @property
    def expires(self) -> float:
        """When the first of the certificates expires, in seconds since the epoch."""
        return min(self._chosen.ends.values())

    def overdue(self, now: float) -> dict[str, float]:
        """Return the files whose certificate has expired at ``now``, and when; both in epoch seconds."""
        return {file: end for file, end in self._chosen.ends.items() if end <= now}

    def refresh(self) -> bool:
        """Take over files that have changed; tell whether any had.

        Raises:
            CertificateError: what they hold now cannot be used; the former stays in use. Told once: the same
                files are tried again only after another change.
        """
        stamps = self._look()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            self._chosen = _load(self.settings)
        except CertificateError:
            self.failures += 1
            raise
        self.reloads += 1
        return True

    def _front(self) -> ssl.SSLContext:
        context = _bare_context(self.settings)
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        # asked in every handshake, with None where the client names no server
        connection.context = self._chosen.choose(name)

    def _look(self) -> tuple[Stamp, ...]:
        paths = [path for chain in self.settings.chains for path in (chain.certificate, chain.key)]
        if self.settings.client_ca is not None:
            paths.append(self.settings.client_ca)
        return tuple(map(_stamp, paths))


async def watch(
    current: Callable[[], Certificates | None],
    tell: Callable[[Exception | None], None],
    look: Callable[[Certificates], None] = lambda _: None,
) -> None:
    """Look every few seconds whether a file has changed.

    Args:
        current: returns the certificates in use, None without TLS.
        tell: is called after a change, with what was wrong with it or None.
        look: is shown the certificates each time.
    """
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        certificates = current()
        if certificates is None:
            continue
        try:
            changed = await asyncio.to_thread(certificates.refresh)
        except CertificateError as error:
            tell(error)
        else:
            if changed:
                tell(None)
        look(certificates)


def _stamp(path: str) -> Stamp:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(settings: TlsSettings) -> _Chosen:
    contexts: list[ssl.SSLContext] = []
    by_name: dict[str, ssl.SSLContext] = {}
    ends: dict[str, float] = {}
    for chain in settings.chains:
        context = _context(settings, chain)
        leaf = _leaf(chain.certificate)
        ends[chain.certificate] = leaf.not_valid_after_utc.timestamp()
        for name in names_of(leaf):
            by_name.setdefault(name, context)
        contexts.append(context)
    return _Chosen(contexts[0], by_name, ends)


def _context(settings: TlsSettings, chain: CertificateSettings) -> ssl.SSLContext:
    context = _bare_context(settings)
    _load_chain(context, chain)
    if settings.client_ca is not None:
        _load_authorities(context, settings.client_ca)
    return context


def _bare_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context without certificates: a handshake begins with one, and SNI chooses another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.set_ciphers(_CIPHERS_1_2)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # the client knows which of the suites its hardware is fast at; all of them are good
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = _VERIFY[settings.client_certificates]
    if settings.client_ca is not None:
        # a resumed session would skip the check of the client's certificate
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _load_chain(context: ssl.SSLContext, chain: CertificateSettings) -> None:
    try:
        # an encrypted key must fail, not ask at the terminal
        context.load_cert_chain(chain.certificate, chain.key, password=lambda: b"")
    except ssl.SSLError as error:
        why = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "are no usable PEM files"
        raise CertificateError(f"{chain.certificate} and {chain.key} {why}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise CertificateError(f"{chain.certificate} or {chain.key} cannot be read: {why}") from None


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise CertificateError(f"{path} holds no certificate in PEM form") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise CertificateError(f"{path} cannot be read: {why}") from None


def _leaf(path: str) -> x509.Certificate:
    try:
        with Path(path).open("rb") as file:
            return x509.load_pem_x509_certificate(file.read(_MOST_OCTETS))
    except (OSError, ValueError):
        raise CertificateError(f"{path} holds no certificate that can be read") from None


def names_of(leaf: x509.Certificate) -> Iterable[str]:
    """Return the DNS names that a certificate is for, lower case; the subject's common name does not count.

    RFC 9525 section 6.
    """
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(name.lower().rstrip(".") for name in extension.value.get_values_for_type(x509.DNSName))
