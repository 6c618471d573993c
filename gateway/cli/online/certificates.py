"""Until when the certificates hold that the configuration names; whether the listener's bear its names."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from gateway.cli.online.findings import Check, Finding
from gateway.config.settings.root import Settings
from gateway.config.sites import site_urls
from gateway.edge.configfile.certificate_dates import judge_dates
from gateway.syntax.urls import split_site

_VALID: Final = "is this certificate valid"
_BEARS: Final = "does a certificate bear its name"
_WITHIN: Final = 5.0
_MOST_OCTETS: Final = 1 << 20


def checks(settings: Settings) -> list[Check]:
    """Return the checks of our own certificates."""
    found = [
        Check(subject, _VALID, partial(_dates, subject, file), _WITHIN) for subject, file in _files(settings)
    ]
    if settings.tls is not None:
        found.append(Check("tls", _BEARS, partial(_names, settings), _WITHIN))
    return found


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each certificate that is ours, with the setting that names it."""
    for each in settings.tls.chains if settings.tls is not None else ():
        yield "tls", each.certificate
    if settings.admin.tls is not None:
        yield "admin.tls", settings.admin.tls.certificate
    for name, provider in settings.providers.items():
        if provider.client_certificate is not None:
            yield f"providers.{name}.client_certificate", provider.client_certificate
    for name, upstream in settings.upstreams.items():
        if upstream.tls.client_certificate is not None:
            yield f"upstreams.{name}.tls.client_certificate", upstream.tls.client_certificate
    store = settings.redis.tls if settings.redis is not None else None
    if store is not None and store.certificate is not None:
        yield "redis.tls.certificate", store.certificate


async def _dates(subject: str, file: str) -> Sequence[Finding]:
    wrong = judge_dates(file, time.time())
    if wrong is None:
        return [Finding(subject, _VALID, "yes", file)]
    # what is about to end still holds
    is_over = "expired" in wrong or "not valid before" in wrong
    advice = "renew it; the gateway takes over the new file by itself"
    return [Finding(subject, _VALID, "no" if is_over else "yes", f"{file}: {wrong}", advice)]


async def _names(settings: Settings) -> Sequence[Finding]:
    assert settings.tls is not None
    held = [name for each in settings.tls.chains for name in _names_in(each.certificate)]
    findings = []
    for url in site_urls(settings):
        parts = split_site(url)
        if parts is None or parts.scheme != "https":
            continue
        host = (parts.netloc.rpartition(":")[0] if parts.port else parts.netloc).strip("[]").lower()
        if any(_matches(name, host) for name in held):
            findings.append(Finding("tls", f"{_BEARS} ({host})", "yes"))
            continue
        detail = f"browsers refuse it: the certificates are for {', '.join(held[:5]) or 'nobody'}"
        findings.append(Finding("tls", f"{_BEARS} ({host})", "no", detail, "add one to tls.certificates"))
    return findings


def _names_in(file: str) -> list[str]:
    from cryptography import x509  # noqa: PLC0415 - only where there is TLS

    try:
        with Path(file).open("rb") as opened:
            first, *_ = x509.load_pem_x509_certificates(opened.read(_MOST_OCTETS))
        told = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return []
    return [str(each.value).lower() for each in told if isinstance(each, x509.DNSName | x509.IPAddress)]


def _matches(name: str, host: str) -> bool:
    """Tell whether a name of a certificate is a host's (RFC 9525 section 6.3: a star is one whole label)."""
    if name.startswith("*.") and not host.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host
