"""Connects to a server as the gateway would, and says what came of it."""

import asyncio
import errno
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.cli.online.findings import Answer
from gateway.cli.online.names import NOT_KNOWN, Names, UnknownNameError

_SOON: Final = 14 * 86400.0
_MOST_NAMES: Final = 5
# OpenSSL's numbers of why a certificate is refused (X509_V_ERR_...)
_NOT_YET, _EXPIRED = 9, 10
_SELF_SIGNED = frozenset({18, 19})
_UNKNOWN_ISSUER = frozenset({2, 20, 21, 27})
_OTHER_NAME = frozenset({62, 64})


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect to: a host and port, with TLS where there is a context; or a Unix socket.

    ``authorities`` names the setting that says whose certificates are believed, ``name`` the one that says
    whose name the certificate must bear; empty where there is none.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    server_name: str | None = None
    path: str = ""
    authorities: str = "ca_file"
    name: str = "tls.server_name"

    @property
    def shown(self) -> str:
        """As messages call it."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of a connection: an answer, what was found, and what to do."""

    answer: Answer
    detail: str
    advice: str = ""


async def reach(place: Place, names: Names, within: float) -> Reached:
    """Connect, and close. Whatever keeps the gateway from it is a no, silence for so many seconds as well."""
    progress = _Progress()
    try:
        async with asyncio.timeout(within):
            if not place.path:
                await names.addresses(place.host)
            certificate = await _connect(place, progress)
    except UnknownNameError as error:
        return Reached("no", str(error), NOT_KNOWN)
    except TimeoutError:
        if progress.is_connected:
            detail = f"{place.shown} takes connections, and no TLS came about within {within:g} s"
            return Reached("no", detail, "does it speak TLS? Else write it without TLS")
        detail = f"{place.shown} did not answer within {within:g} s"
        return Reached("no", detail, "is there a firewall in between?")
    except ssl.SSLCertVerificationError as error:
        return await _refused(place, error, within)
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
            return Reached(
                "no", f"{place.shown} speaks no TLS", "is it the right port? Else write it without TLS"
            )
        what = (error.reason or "no agreement").replace("_", " ").lower()
        return Reached("no", f"TLS with {place.shown} fails: {what}", "does it ask for a client certificate?")
    except (OSError, ValueError) as error:
        return _failed(place, error)
    if certificate is None:
        return Reached("yes", f"{place.shown} is reached")
    return _dated(place, certificate)


@dataclass(slots=True)
class _Progress:
    is_connected: bool = False


async def _connect(place: Place, progress: _Progress) -> bytes | None:
    """Return the certificate that the server shows, None without TLS. Raises OSError, ValueError."""
    if place.path:
        _, writer = await asyncio.open_unix_connection(place.path)
    else:
        _, writer = await asyncio.open_connection(place.host, place.port)
    progress.is_connected = True
    try:
        if place.context is None:
            return None
        await writer.start_tls(place.context, server_hostname=place.server_name or place.host)
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return certificate
    finally:
        writer.transport.abort()


def _failed(place: Place, error: Exception) -> Reached:
    number = getattr(error, "errno", None)
    if isinstance(error, ConnectionRefusedError):
        return Reached("no", f"nothing listens at {place.shown}", "is it up? Is the port right?")
    if isinstance(error, FileNotFoundError):
        return Reached("no", f"there is no socket {place.shown}", "is it up? Is it mounted here?")
    if isinstance(error, PermissionError):
        return Reached("no", f"{place.shown} may not be opened by this user", "check owner and mode")
    if isinstance(error, ConnectionResetError | asyncio.IncompleteReadError):
        return Reached("no", f"{place.shown} hung up", "does it speak TLS? Does a firewall cut it off?")
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        return Reached("no", f"there is no way to {place.shown} from here", "check routes and IPv6")
    return Reached(
        "no", f"{place.shown} cannot be reached: {getattr(error, 'strerror', None) or 'no connection'}"
    )


async def _refused(place: Place, error: ssl.SSLCertVerificationError, within: float) -> Reached:
    """Say why a certificate is not believed, with what it says of itself."""
    begins, ends, names = await _peek(place, within)
    code = error.verify_code
    if code == _EXPIRED:
        return Reached("no", f"the certificate of {place.shown} expired on {_date(ends)}", "renew it there")
    if code == _NOT_YET:
        return Reached(
            "no",
            f"the certificate of {place.shown} is not valid before {_date(begins)}",
            "is this machine's clock right?",
        )
    if code in _OTHER_NAME:
        shown = ", ".join(names[:_MOST_NAMES]) or "nobody"
        where = f", or set {place.name}" if place.name else ""
        wanted = place.server_name or place.host
        return Reached(
            "no",
            f"the certificate of {place.shown} is for {shown}, not for {wanted}",
            f"ask it by a name that it has{where}",
        )
    if code in _SELF_SIGNED:
        what, advice = (
            "signed by itself, or by an authority that is not known here",
            "if it is yours, name its",
        )
    elif code in _UNKNOWN_ISSUER:
        what, advice = (
            "signed by an authority that is not known here",
            "it may leave out its chain; else name its",
        )
    else:
        return Reached("no", f"the certificate of {place.shown} is refused: {error.verify_message}")
    where = f" authority in {place.authorities}" if place.authorities else " authority"
    return Reached("no", f"the certificate of {place.shown} is {what}", advice + where)


async def _peek(place: Place, within: float) -> tuple[float, float, list[str]]:
    """Return dates and names of a certificate that is not believed; nothing is sent there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(within):
            octets = await _connect(Place(place.host, place.port, context, place.server_name), _Progress())
    except (OSError, ValueError):
        octets = None
    return (0.0, 0.0, []) if octets is None else _read(octets)


def _read(octets: bytes) -> tuple[float, float, list[str]]:
    from cryptography import x509  # noqa: PLC0415 - only where there is TLS

    try:
        certificate = x509.load_der_x509_certificate(octets)
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError:
        return 0.0, 0.0, []
    try:
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(each.value) for each in told if isinstance(each, x509.DNSName | x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    return begins.timestamp(), ends.timestamp(), names


def _dated(place: Place, octets: bytes) -> Reached:
    _, ends, _ = _read(octets)
    if not ends:
        return Reached("yes", f"{place.shown} is reached over TLS")
    left = ends - time.time()
    detail = f"{place.shown} is reached over TLS; its certificate is valid until {_date(ends)}"
    if left <= 0:
        # as where verify is false
        return Reached("no", f"the certificate of {place.shown} expired on {_date(ends)}", "renew it there")
    return Reached("yes", detail, "it is due to be renewed" if left <= _SOON else "")


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M UTC}" if seconds else "a date unknown"
