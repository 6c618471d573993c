"""Every call of the client to the demo provider authenticates it first, as it is registered."""

from aiohttp import web

from gateway.demo.clients import (
    authenticate_by_certificate,
    authenticate_by_secret,
    authenticate_by_signature,
    refused,
)
from gateway.demo.grants import Fields, OAuthError
from gateway.demo.state import ProviderState


async def authenticate(provider: ProviderState, request: web.Request, fields: Fields) -> str:
    """Return which client calls, by what it is registered with and by nothing else.

    Raises:
        OAuthError: ``invalid_client``; ``invalid_request`` when it authenticates twice.
    """
    if "client-refused" in provider.quirks:
        raise refused("the client is not known here")
    client, client_id = provider.client, provider.client_id
    if (registered := provider.registered.authenticate(request, fields)) is not None:
        return registered.client_id
    match client.auth:
        case "client_secret":
            authenticate_by_secret(request, fields, client_id, provider.client_secret)
        case "tls_client_auth":
            authenticate_by_certificate(request, fields, client_id, client.subject_dn)
        case "private_key_jwt":
            called = f"{request.scheme}://{request.host}{request.path}"
            audience = provider.issuer if client.audience == "issuer" else called
            await authenticate_by_signature(client, fields, client_id, audience, provider.clock())
    return client_id


async def authenticate_own(provider: ProviderState, request: web.Request, fields: Fields) -> None:
    """Check that the client calls that the provider was made with.

    Raises:
        OAuthError: also ``unauthorized_client``: it is one that has registered itself.
    """
    if await authenticate(provider, request, fields) != provider.client_id:
        raise OAuthError("unauthorized_client", "this is not for clients that register themselves")
