"""The token endpoint (RFC 6749 sections 4.1.3, 5 and 6; RFC 7636 section 4.5)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gateway.core.config import ProviderSettings
from gateway.core.model import Json, ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.strict import parse_object
from gateway.oauth.form import FormRequest, build_form

MOST_RESPONSE = 1 << 18
_MOST_TOKEN = 131072
_MOST_EXPIRY = 10 * 365 * 86400.0
_MOST_RETRY = 3600
_CODE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,128}")
_TOKEN = re.compile(r"[\x20-\x7e]+")
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?")
# a 4xx that speaks of the moment, not of the grant (R34)
_TRANSIENT_STATUS = frozenset((408, 425, 429))
# errors of the client's registration: the operator's to mend
_CLIENT_ERRORS = frozenset(("invalid_client", "unauthorized_client"))


@dataclass(frozen=True, slots=True)
class TokenUnavailable:
    """No verdict on the grant: it is kept, and the call may be tried again.

    ``detail`` is for the log and holds no secret; ``retry_after`` is in seconds; ``reason`` is
    ``ISSUER_UNAVAILABLE``, or ``ISSUER_MISCONFIGURED`` when only the operator can help.
    """

    detail: str
    retry_after: int | None = None
    reason: Reason = Reason.ISSUER_UNAVAILABLE


TokenResponse: TypeAlias = TokenSet | TokenRefusal | TokenUnavailable


def build_code_request(
    metadata: ProviderMetadata, settings: ProviderSettings, *, code: str, verifier: str, redirect_uri: str
) -> FormRequest:
    """Return the request that redeems an authorization code.

    Raises:
        MessageError: ``client_secret_missing``.
    """
    parameters = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    return build_form(metadata.token_endpoint, parameters, settings)


def build_refresh_request(
    metadata: ProviderMetadata,
    settings: ProviderSettings,
    refresh_token: str,
    scopes: Iterable[str] | None = None,
) -> FormRequest:
    """Return the request for new tokens. Without ``scopes`` the granted ones stay (RFC 6749 section 6).

    Raises:
        MessageError: ``client_secret_missing``.
    """
    parameters = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    if scopes is not None:
        parameters["scope"] = " ".join(scopes)
    return build_form(metadata.token_endpoint, parameters, settings)


def process_response(
    status: int, content_type: str, body: bytes, retry_after: str | None = None
) -> TokenResponse:
    """Classify what the token endpoint answered (R34, R36).

    A refusal ends the grant, so only a well-formed OAuth error of a 4xx response counts as one, or a 400
    with an empty body, which some providers send for a refused refresh. Everything else says nothing about
    the grant.

    Args:
        status: of the response.
        content_type: its Content-Type, or "".
        body: at most 256 KiB count.
        retry_after: the header's value; only seconds are understood.
    """
    if status == 200:
        return _process_success(content_type, body)
    wait = _read_retry_after(retry_after)
    if not 400 <= status < 500 or status in _TRANSIENT_STATUS:
        return TokenUnavailable(f"the token endpoint answered {status}", wait)
    if status == 400 and not body.strip():
        return TokenRefusal("empty")
    document = parse_object(body, MOST_RESPONSE)
    error = None if document is None else document.get("error")
    if not isinstance(error, str) or _CODE.fullmatch(error) is None:
        return TokenUnavailable(
            f"the token endpoint answered {status} without an OAuth error ({_show_type(content_type)});"
            " check token_endpoint",
            wait,
        )
    if error in _CLIENT_ERRORS:
        return TokenUnavailable(
            f"the token endpoint answered {error}: check client_id, client_secret and client_auth",
            wait,
            Reason.ISSUER_MISCONFIGURED,
        )
    if error == "temporarily_unavailable":
        return TokenUnavailable(f"the token endpoint answered {error}", wait)
    return TokenRefusal(error)


def _process_success(content_type: str, body: bytes) -> TokenSet | TokenUnavailable:
    document = parse_object(body, MOST_RESPONSE)
    if document is None:
        return TokenUnavailable(
            f"the token endpoint answered 200 without a JSON object ({_show_type(content_type)});"
            " check token_endpoint"
        )
    try:
        return _read_tokens(document)
    except ValueError as error:
        return TokenUnavailable(f"the token endpoint answered 200 with a malformed {error}")


def _read_tokens(document: Mapping[str, Json]) -> TokenSet:
    """Check the form of a successful response; the ValueError names the member that is malformed."""
    access_token = _read_token(document, "access_token")
    if access_token is None:
        raise ValueError("access_token")
    kind = document.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ValueError("token_type")
    scope = document.get("scope")
    if not (scope is None or isinstance(scope, str)):
        raise ValueError("scope")
    return TokenSet(
        access_token=access_token,
        expires_in=_read_expiry(document.get("expires_in")),
        refresh_token=_read_token(document, "refresh_token"),
        id_token=_read_token(document, "id_token"),
        scopes=None if scope is None else frozenset(scope.split()),
    )


def _read_token(document: Mapping[str, Json], name: str) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MOST_TOKEN or _TOKEN.fullmatch(value) is None:
        raise ValueError(name)
    return value


def _read_expiry(value: Json) -> float | None:
    if value is None:
        return None
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("expires_in")
    return min(float(value), _MOST_EXPIRY)


def _read_retry_after(value: str | None) -> int | None:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return None
    return min(int(value), _MOST_RETRY)


def _show_type(content_type: str) -> str:
    name = content_type.partition(";")[0].strip()[:60]
    return name if name.isprintable() and name else "no content type"
