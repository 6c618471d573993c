"""Token introspection (RFC 7662), and its signed answers (RFC 9701)."""

from dataclasses import replace
from typing import Final

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth.answers import is_success, read_object
from gateway.oauth.errors import MessageError, refuse_unusable
from gateway.oauth.form import FormRequest, build_form
from gateway.oauth.refusals import Verdict, judge, read_code
from gateway.syntax.encoding import Json

OF_NO_TOKEN: Final = frozenset((401, 429, 503))
"""Statuses that say nothing of a token: the client may not ask, or the endpoint is busy."""
_SIGNED: Final = "application/token-introspection+jwt"


def build_request(metadata: ProviderMetadata, settings: ProviderSettings, token: str) -> FormRequest:
    """Return the request that asks about an access token (RFC 7662 section 2.1).

    Raises:
        MessageError: ``endpoint_invalid``: the provider has no such endpoint; ``client_secret_missing``.
    """
    if metadata.introspection_endpoint is None:
        refuse_unusable(metadata, "introspection_endpoint")
        raise MessageError(
            "endpoint_invalid",
            "the provider has no introspection_endpoint; name it, or set introspection to none",
        )
    fields = {"token": token, "token_type_hint": "access_token"}
    request = build_form(metadata.introspection_endpoint, fields, settings)
    accepted = _SIGNED if settings.introspection == "jwt" else "application/json"
    return replace(request, headers={**request.headers, "Accept": accepted})


def is_signed(status: int, content_type: str) -> bool:
    """Tell whether the answer is a JWT, which ``core.tokens.introspection`` checks (RFC 9701 section 5)."""
    return is_success(status) and content_type.partition(";")[0].strip().lower() == _SIGNED


def process_response(status: int, body: bytes, limit: int) -> dict[str, Json] | None:
    """Return the members of an answer that is no JWT, None where the token is not active (section 2.2).

    Raises:
        MessageError: neither; ``introspection_unauthorized`` where the provider refuses the client (section
            2.3).
    """
    document = read_object(body, limit)
    if is_success(status):
        return read_members(document)
    code = read_code(document.get("error")) if document is not None else None
    is_client = code is not None and judge(status, code) is Verdict.OPERATOR
    if status in (401, 403) or is_client:
        raise MessageError(
            "introspection_unauthorized",
            f"the introspection endpoint answered {status}: it does not let this client ask",
        )
    raise MessageError("introspection_unavailable", f"the introspection endpoint answered {status}")


def read_members(document: dict[str, Json] | None) -> dict[str, Json] | None:
    """Return the members of an answer, None where the token is not active.

    Raises:
        MessageError: ``introspection_malformed``: it does not say whether the token is active.
    """
    active = document.get("active") if document is not None else None
    if active is False:
        return None
    # a text, a number or nothing at all is no yes
    if document is None or active is not True:
        raise MessageError(
            "introspection_malformed", "the introspection endpoint does not say whether the token is active"
        )
    return document
