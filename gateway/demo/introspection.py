"""The answers of the demo provider's introspection endpoint, as JSON or as a JWT, and their faults."""

from typing import Any, Final

from aiohttp import web

from gateway.demo.messages import json_answer
from gateway.demo.state import ProviderState

SIGNED: Final = "application/token-introspection+jwt"


def introspection_answer(
    request: web.Request, provider: ProviderState, found: dict[str, Any]
) -> web.StreamResponse:
    """Return what was found of a token (RFC 7662 section 2.2), signed where that is asked for (RFC 9701)."""
    quirks = provider.quirks
    if "introspection-refuses-client" in quirks:
        return json_answer({"error": "invalid_client"}, 401)
    if "introspection-429" in quirks:
        return web.Response(status=429, headers={"Retry-After": "7"}, text="too often")
    if "introspection-active-text" in quirks:
        found = {**found, "active": "true"}
    if "introspection-no-active" in quirks:
        found = {name: value for name, value in found.items() if name != "active"}
    if SIGNED not in request.headers.get("Accept", "") or "introspection-ignores-accept" in quirks:
        return json_answer(found)
    return web.Response(
        text=_signed(provider, found), content_type=SIGNED, headers={"Cache-Control": "no-store"}
    )


def _signed(provider: ProviderState, found: dict[str, Any]) -> str:
    quirks, now = provider.quirks, int(provider.clock())
    claims: dict[str, Any] = {
        "iss": provider.issuer,
        "aud": provider.client_id,
        "iat": now,
        "token_introspection": found,
    }
    if "introspection-wrong-iss" in quirks:
        claims["iss"] = "https://somewhere-else.example"
    if "introspection-wrong-aud" in quirks:
        claims["aud"] = f"{provider.client_id}-other"
    if "introspection-missing-iat" in quirks:
        del claims["iat"]
    if "introspection-replayed" in quirks:
        claims["iat"] = now - 3600
    if "introspection-empty" in quirks:
        del claims["token_introspection"]
    algorithm = "none" if "introspection-alg-none" in quirks else "RS256"
    algorithm = "HS256" if "introspection-wrong-alg" in quirks else algorithm
    kind = "JWT" if "introspection-wrong-typ" in quirks else "token-introspection+jwt"
    return provider.sign(claims, {"typ": kind}, algorithm)
