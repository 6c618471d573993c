"""The logout request that a browser carries to the provider (OpenID Connect RP-Initiated Logout 1.0)."""

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth.errors import refuse_unusable
from gateway.oauth.query import with_query

_RESERVED = frozenset({"id_token_hint", "client_id", "post_logout_redirect_uri", "state"})


def build_request(
    metadata: ProviderMetadata,
    settings: ProviderSettings,
    *,
    redirect_uri: str,
    state: str,
    id_token_hint: str | None,
) -> str | None:
    """Return the URL that ends a browser's login at the provider (section 2), None where it has none.

    Args:
        metadata: names the end_session_endpoint; a query that it has is kept.
        settings: names the client.
        redirect_uri: where the browser comes back to; the provider must know it (section 3).
        state: binds the answer to this browser.
        id_token_hint: the login's ID token, which may have expired; without it the client is named alone.

    Raises:
        MessageError: the endpoint cannot be used.
    """
    endpoint = metadata.end_session_endpoint
    if endpoint is None:
        refuse_unusable(metadata, "end_session_endpoint")
        return None
    parameters = {
        **({"id_token_hint": id_token_hint} if id_token_hint is not None else {}),
        "client_id": settings.client_id,
        "post_logout_redirect_uri": redirect_uri,
        "state": state,
    }
    return with_query(endpoint, parameters, _RESERVED)
