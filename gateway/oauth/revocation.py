"""Token revocation (RFC 7009)."""

from typing import Literal

from gateway.core.config import ProviderSettings
from gateway.core.model import ProviderMetadata
from gateway.oauth.form import FormRequest, build_form


def build_request(
    metadata: ProviderMetadata,
    settings: ProviderSettings,
    token: str,
    hint: Literal["refresh_token", "access_token"] = "refresh_token",
) -> FormRequest | None:
    """Return the request that revokes a token (section 2.1); None when the provider has no such endpoint.

    Raises:
        MessageError: ``client_secret_missing``.
    """
    if metadata.revocation_endpoint is None:
        return None
    return build_form(metadata.revocation_endpoint, {"token": token, "token_type_hint": hint}, settings)
