"""How a client says who it is by a signature (RFC 7523 section 2.2, OIDC Core section 9)."""

from typing import Final

from gateway.config.settings.providers import ProviderSettings
from gateway.syntax.encoding import Json

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = 60
"""Seconds for which an assertion is good, beside what ``clock_skew`` allows for."""
JTI_BYTES: Final = 16


def audience_of(settings: ProviderSettings, url: str) -> str:
    """Return for whom an assertion is that goes to ``url``.

    The issuer, unless the provider insists on the URL. Then it is the very URL that is called, and never
    another endpoint's: whoever has one sent to his own endpoint can use it at nobody else's.
    """
    return settings.issuer if settings.assertion_audience == "issuer" else url


def claims_of(client_id: str, audience: str, now: float, jti: str, skew: float) -> dict[str, Json]:
    """Return the claims of an assertion (RFC 7523 section 3).

    Args:
        client_id: who it is.
        audience: for whom it is, as one text: several would make it good at several.
        now: epoch seconds.
        jti: random, never the same twice.
        skew: how far the provider's clock may be ahead or behind, in seconds.
    """
    issued = int(now)
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": jti,
        "iat": issued,
        "exp": issued + LIFETIME + int(skew),
    }
