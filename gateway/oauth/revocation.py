"""Token revocation (RFC 7009)."""

from typing import Literal

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth.errors import MessageError, refuse_unusable
from gateway.oauth.form import FormRequest, build_form

MOST_RESPONSE = 65_536
"""Bytes of an answer that are read; none of them counts."""


def build_request(
    metadata: ProviderMetadata,
    settings: ProviderSettings,
    token: str,
    hint: Literal["refresh_token", "access_token"] = "refresh_token",
) -> FormRequest | None:
    """Return the request that revokes a token (section 2.1); None when the provider has no such endpoint.

    Raises:
        MessageError: ``client_secret_missing``; or the endpoint cannot be used.
    """
    if metadata.revocation_endpoint is None:
        refuse_unusable(metadata, "revocation_endpoint")
        return None
    return build_form(metadata.revocation_endpoint, {"token": token, "token_type_hint": hint}, settings)


def process_response(status: int) -> None:
    """Take note of the answer (section 2.2): 200 says revoked, or unknown, which is as good.

    Raises:
        MessageError: ``revocation_refused`` for any other status; the token may still be good.
    """
    if status != 200:
        raise MessageError("revocation_refused", f"the revocation endpoint answered {status}")
