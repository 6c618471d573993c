"""The token endpoint (RFC 6749 sections 4.1.3, 5 and 6; RFC 7636 section 4.5)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.oauth.answers import is_success, read_object
from gateway.oauth.form import FormRequest, build_form
from gateway.oauth.refusals import Verdict, judge, read_code
from gateway.syntax.encoding import Json

MOST_RESPONSE = 1 << 18
_MOST_TOKEN = 131072
_MOST_EXPIRY = 10 * 365 * 86400.0
_MOST_RETRY = 3600
_TOKEN = re.compile(r"[\x20-\x7e]+")
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class TokenUnavailable:
    """No verdict on the grant: it is kept, and the call may be tried again.

    ``detail`` is for the log and holds no secret; ``retry_after`` is in seconds; ``reason`` is
    ``ISSUER_UNAVAILABLE``, or ``ISSUER_MISCONFIGURED`` when only the operator can help. ``is_moment``: it is
    the provider's trouble of the moment, and not about this grant.
    """

    detail: str
    retry_after: int | None = None
    reason: Reason = Reason.ISSUER_UNAVAILABLE
    is_moment: bool = False


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
    return build_form(metadata.token_endpoint, parameters | _for_whom(settings), settings)


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
    return build_form(metadata.token_endpoint, parameters | _for_whom(settings), settings)


def _for_whom(settings: ProviderSettings) -> dict[str, Sequence[str]]:
    return {"resource": settings.resources} if settings.resources else {}


def process_response(
    status: int,
    content_type: str,
    body: bytes,
    retry_after: str | None = None,
    *,
    is_code: bool = False,
) -> TokenResponse:
    """Classify what the token endpoint answered (R85, R36); ``oauth.refusals`` has the table.

    Args:
        status: of the response.
        content_type: its Content-Type, or "".
        body: at most 256 KiB count.
        retry_after: the header's value; only seconds are understood.
        is_code: whether a code was redeemed. It serves once and there is nothing to keep, so any code of an
            error with 200 or a 4xx refuses it, unless the table has another opinion.
    """
    document = read_object(body, MOST_RESPONSE)
    code = None if document is None else read_code(document.get("error"))
    # tokens that came are kept, whatever else the answer says, but that the grant is dead (R85)
    if document is not None and is_success(status) and judge(status, code) is not Verdict.ENDED:
        try:
            return _read_tokens(document)
        except ValueError as error:
            if "error" not in document:
                return TokenUnavailable(f"the token endpoint answered {status} with a malformed {error}")
    verdict = judge(status, code, is_empty=not body.strip())
    if verdict is Verdict.UNKNOWN and is_code and code is not None:
        is_answer = is_success(status) or 400 <= status < 500
        verdict = Verdict.ENDED if is_answer else verdict
    if verdict is Verdict.ENDED:
        return TokenRefusal(code or "empty")
    return _unavailable(status, content_type, code, verdict, _read_retry_after(retry_after))


def _unavailable(
    status: int, content_type: str, code: str | None, verdict: Verdict, wait: int | None
) -> TokenUnavailable:
    if verdict is Verdict.OPERATOR:
        return TokenUnavailable(
            f"the token endpoint answered {code}: check client_id, client_secret, client_auth and what the"
            " client may do there",
            wait,
            Reason.ISSUER_MISCONFIGURED,
        )
    if code is not None or verdict is Verdict.MOMENT:
        what = f"{status} with {code}" if code is not None else str(status)
        return TokenUnavailable(
            f"the token endpoint answered {what}", wait, is_moment=verdict is Verdict.MOMENT
        )
    return TokenUnavailable(
        f"the token endpoint answered {status} without tokens or an OAuth error ({_show_type(content_type)});"
        " check token_endpoint",
        wait,
    )


def _read_tokens(document: Mapping[str, Json]) -> TokenSet:
    """Read a successful response; the ValueError names the member for want of which it is none.

    What is odd about the rest costs nobody the tokens: the old refresh token may be spent by now (R36).
    """
    access_token = _read_token(document, "access_token")
    if access_token is None:
        raise ValueError("access_token")
    kind = document.get("token_type")
    # a token that asks for a proof (DPoP, mac) is of no use here; one of no known kind is a bearer token
    if isinstance(kind, str) and kind.strip().lower() not in {"bearer", ""}:
        raise ValueError("token_type")
    refresh_token = _read_token(document, "refresh_token")
    try:
        id_token = _read_token(document, "id_token")
    except ValueError:
        id_token = None
    return TokenSet(
        access_token=access_token,
        expires_in=_read_expiry(document.get("expires_in")),
        refresh_token=refresh_token,
        id_token=id_token,
        scopes=_read_scopes(document.get("scope")),
    )


def _read_scopes(value: Json) -> frozenset[str] | None:
    """Return the granted scopes, None where the response does not tell; what cannot be read grants none."""
    if value is None:
        return None
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(name for each in value if isinstance(each, str) for name in each.split())
    return frozenset()


def _read_token(document: Mapping[str, Json], name: str) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MOST_TOKEN or _TOKEN.fullmatch(value) is None:
        raise ValueError(name)
    return value


def _read_expiry(value: Json) -> float | None:
    """Return a lifetime in seconds, None where it is not told: also for 0, less, and what is no number."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return min(float(value), _MOST_EXPIRY)


def _read_retry_after(value: str | None) -> int | None:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return None
    return min(int(value), _MOST_RETRY)


def _show_type(content_type: str) -> str:
    name = content_type.partition(";")[0].strip()[:60]
    return name if name.isprintable() and name else "no content type"
