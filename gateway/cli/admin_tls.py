"""TLS to an admin listener: whose certificate counts, and what is said where that fails."""

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

_MOST: Final = 1 << 20
_END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a certificate is judged by.

    ``own``: it is the first one of ``file``, whatever name it has. ``authorities``: one of ``file`` has
    signed it. ``system``: one that the system trusts has.
    """

    kind: Literal["own", "authorities", "system"]
    file: str = ""


def context_of(trust: Trust) -> ssl.SSLContext:
    """Return what connections are made with. Raises OSError: the file cannot be used."""
    if trust.kind == "system":
        return ssl.create_default_context()
    if trust.kind == "authorities":
        return ssl.create_default_context(cafile=trust.file)
    with Path(trust.file).open(encoding="ascii", errors="replace") as file:
        first, end, _ = file.read(_MOST).partition(_END)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # that very certificate and no other is trusted, so the name that it is asked by proves nothing more
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=first[max(first.find("-----BEGIN"), 0) :] + end)
    return context


def why_not(error: Exception, *, is_tls: bool) -> str:
    """Return why a listener could not be asked, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}): name its authority with --admin-ca"
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            return "it speaks no TLS: write http://"
        return f"TLS fails ({error.reason})"
    if not is_tls and isinstance(error, http.client.HTTPException | ConnectionResetError):
        return "what listens there speaks no HTTP; if it speaks TLS, write https://"
    return getattr(error, "strerror", None) or type(error).__name__
