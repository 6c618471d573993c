"""The authorization request (RFC 6749 section 4.1.1, OIDC Core section 3.1.2.1, RFC 7636, RFC 8707)."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth.query import Parameters, with_query
from gateway.syntax.encoding import encode_base64url
from gateway.syntax.urls import RESERVED_PARAMETERS

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def challenge_s256(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636 section 4.2).

    Raises:
        ValueError: not 43 to 128 unreserved characters.
    """
    if _VERIFIER.fullmatch(verifier) is None:
        raise ValueError("a code verifier has 43 to 128 unreserved characters")
    return encode_base64url(hashlib.sha256(verifier.encode()).digest())


def parameters_of(
    settings: ProviderSettings,
    *,
    redirect_uri: str,
    state: str,
    nonce: str,
    verifier: str,
    acr_values: Sequence[str] = (),
    max_age: float | None = None,
    login_hint: str = "",
    other_account: bool = False,
    extra: Iterable[tuple[str, str]] = (),
) -> Parameters:
    """Return what a login asks for (R1, R2, R10).

    Args:
        settings: client, scopes and extra parameters.
        redirect_uri: where the browser comes back to.
        state: binds the answer to this browser.
        nonce: binds the ID token to this login; not sent where there is none.
        verifier: PKCE's secret, of which the request holds the S256 challenge.
        acr_values: the authentication contexts that would do, preferred first (RFC 9470 section 4).
        max_age: the most seconds since the last active login.
        login_hint: whom a third party says that it is (OIDC Core section 4), empty for nobody.
        other_account: whether the provider is to ask which account it shall be.
        extra: more parameters, which win over those of ``settings``; what else this function sets wins.

    Raises:
        ValueError: the verifier is not 43 to 128 unreserved characters.
    """
    is_oidc = settings.kind == "oidc"
    wanted = {**settings.extra_authorization_parameters, **dict(extra)}
    parameters: dict[str, str | Sequence[str]] = {
        name: value for name, value in wanted.items() if name not in RESERVED_PARAMETERS
    }
    parameters |= {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge_s256(verifier),
        "code_challenge_method": "S256",
    }
    optional = {
        "scope": " ".join(_wanted_scopes(settings)),
        "nonce": nonce if is_oidc else "",
        "response_mode": settings.response_mode if settings.response_mode != "query" else "",
        "acr_values": " ".join(acr_values) if is_oidc else "",
        "max_age": str(int(max_age)) if max_age is not None and is_oidc else "",
        "login_hint": login_hint,
        "prompt": "select_account" if other_account else "",
        "resource": settings.resources,
    }
    return parameters | {name: value for name, value in optional.items() if value}


def build_request(metadata: ProviderMetadata, parameters: Parameters) -> str:
    """Return the URL that sends a browser to log in.

    Args:
        metadata: names the authorization endpoint; a query that it has is kept.
        parameters: as ``parameters_of`` returns them.
    """
    return with_query(metadata.authorization_endpoint, parameters, RESERVED_PARAMETERS)


def _wanted_scopes(settings: ProviderSettings) -> tuple[str, ...]:
    """Return the scopes that a login asks for: with ``openid`` always, or never (``kind: oauth2``)."""
    if settings.kind == "oauth2":
        return tuple(name for name in settings.scopes if name != "openid")
    return settings.scopes if "openid" in settings.scopes else ("openid", *settings.scopes)
