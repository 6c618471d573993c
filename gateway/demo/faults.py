"""The fault switches of the demo provider: what each one breaks, and the broken answers themselves."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from aiohttp import web

ENDPOINTS = ("discovery", "jwks", "token", "userinfo", "par", "introspection")

_SHAPES = {
    "html": "answers a page of HTML with status 200",
    "huge": "answers well-formed JSON of two megabytes",
    "truncated": "closes the connection in the middle of its answer",
    "non-json": "says application/json and sends something else",
    "5xx": "answers 500",
    "slow": "answers rightly, but only after slow_seconds",
}

QUIRKS: Mapping[str, str] = MappingProxyType(
    {
        # ID tokens, named as in the OpenID Foundation's relying-party plans
        "invalid-iss": "the ID token names another issuer",
        "missing-sub": "the ID token has no sub",
        "invalid-aud": "the ID token is for another client",
        "missing-aud": "the ID token has no aud",
        "missing-iat": "the ID token has no iat",
        "kid-absent-single-jwks": "the ID token names no key, and one key is published (to be accepted)",
        "kid-absent-multiple-jwks": "the ID token names no key, and several that fit are published",
        "idtoken-sig-none": "the ID token is unsigned, alg none",
        "invalid-sig-rs256": "the ID token's RS256 signature is wrong",
        "invalid-sig-es256": "the ID token's ES256 signature is wrong",
        "invalid-sig-hs256": "the ID token's HS256 signature is wrong",
        "nonce-invalid": "the ID token has another nonce",
        "invalid-athash": "the ID token's at_hash is of another access token",
        "userinfo-invalid-sub": "the UserInfo response is about somebody else",
        "discovery-issuer-mismatch": "the discovery document names another issuer",
        "signing-key-rotation": "new signing keys at every authorization request",
        "signing-key-rotation-just-before-signing": "new signing keys just before every ID token; none stays",
        "refresh-invalid-issuer": "the ID token of a refresh names another issuer",
        "refresh-invalid-sub": "the ID token of a refresh is about somebody else",
        "backchannel-alg-none": "the logout token is unsigned, alg none",
        "backchannel-no-event": "the logout token has no events",
        "backchannel-with-nonce": "the logout token has a nonce",
        "backchannel-wrong-alg": "the logout token is signed with HS256",
        "backchannel-wrong-aud": "the logout token is for another client",
        "backchannel-wrong-event": "the logout token names another event",
        "backchannel-wrong-iss": "the logout token names another issuer",
        "rp-init-logout-no-state": "the redirect after logout drops state",
        "rp-init-logout-other-state": "the redirect after logout has another state",
        # met at real providers
        "refresh-empty-400": "a refused refresh is a 400 with an empty body",
        "refresh-invalid-request": "a refused refresh is called invalid_request",
        "refresh-reuse-leeway": "a rotated refresh token used again at once gets the same new tokens",
        "no-refresh-token": "no refresh token is given, whatever scope was asked for",
        "refresh-no-rotation": "a refresh answers without a new refresh token; the old one stays good",
        "groups-overage": "the ID token leaves out the groups and says that they are too many (Entra ID)",
        "no-auth-time": "the ID token does not say when the person authenticated",
        "client-refused": "the client is not known, whatever it proves itself with",
        "par-refused": "a pushed request is refused as invalid_request",
        "par-no-request-uri": "a pushed request is answered 201 without a request_uri",
        "par-expired": "what was pushed has expired when the browser comes with it",
        "resource-refused": "nothing may be asked for by resource",
        "resource-ignored": "the access token is for the usual audience, whatever resource asked for",
        "lower-case-bearer": "token_type is written bearer",
        "no-id-token-at-refresh": "a refresh answers without an ID token",
        "access-token-typ-jwt": "access tokens have typ JWT instead of at+jwt",
        "issuer-trailing-slash": "the issuer ends in a slash",
        "double-slash-endpoints": "the paths of all endpoints begin with two slashes",
        "token-503-retry-after": "the token endpoint answers 503 with Retry-After: 7",
        "token-lost-after-commit": "the token endpoint does its work and breaks off without an answer",
        "opaque-access-tokens": "access tokens are random; the introspection endpoint knows what they mean",
        # the introspection endpoint
        "introspection-active-text": "active is a text, not a truth value",
        "introspection-no-active": "the answer does not say whether the token is active",
        "introspection-refuses-client": "the client may not ask: 401",
        "introspection-429": "the endpoint is asked too often: 429 with Retry-After: 7",
        "introspection-ignores-accept": "answers JSON although a JWT is asked for",
        "introspection-alg-none": "the signed answer is unsigned, alg none",
        "introspection-wrong-alg": "the signed answer is signed with HS256",
        "introspection-wrong-typ": "the signed answer has typ JWT",
        "introspection-wrong-iss": "the signed answer names another issuer",
        "introspection-wrong-aud": "the signed answer is for another client",
        "introspection-missing-iat": "the signed answer has no iat",
        "introspection-replayed": "the signed answer was given an hour ago",
        "introspection-empty": "the signed answer has no token_introspection",
        **{f"{where}-{shape}": f"{where} {text}" for where in ENDPOINTS for shape, text in _SHAPES.items()},
    }
)
"""Every switch with what it does."""

_HUGE = 2 << 20


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer that an endpoint gives whatever it is asked, such as one recorded of a real provider."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Quirks(set[str]):
    """A set of switches that are on; a name that does not exist raises ValueError."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__()
        self.update(names)

    def add(self, name: str) -> None:
        """Switch a fault on."""
        if name not in QUIRKS:
            raise ValueError(f"the demo provider has no fault {name!r}")
        super().add(name)

    def update(self, *names: Iterable[str]) -> None:
        """Switch several faults on."""
        for name in [each for group in names for each in group]:
            self.add(name)

    def __ior__(self, names: Any) -> "Quirks":  # type: ignore[override,misc]  # noqa: ANN401, PYI034 - as set's
        self.update(names)
        return self

    def __contains__(self, name: object) -> bool:
        # a misspelt question would be answered "off" for ever
        if name not in QUIRKS:
            raise ValueError(f"the demo provider has no fault {name!r}")
        return super().__contains__(name)


async def spoil(
    request: web.Request, endpoint: str, quirks: Quirks, slow_seconds: float
) -> web.StreamResponse | None:
    """Answer in the endpoint's stead if one of its faults is on; nothing is then issued, spent or rotated.

    None lets the endpoint answer, after ``slow_seconds`` where it is slow.
    """
    if f"{endpoint}-slow" in quirks:
        await asyncio.sleep(slow_seconds)
    if endpoint == "token" and "token-503-retry-after" in quirks:
        return web.Response(status=503, headers={"Retry-After": "7"}, text="down for maintenance")
    if f"{endpoint}-5xx" in quirks:
        return web.Response(status=500, text="Internal Server Error")
    if f"{endpoint}-html" in quirks:
        return web.Response(text="<!doctype html><title>Sorry</title><p>Sorry", content_type="text/html")
    if f"{endpoint}-non-json" in quirks:
        return web.Response(text="access_token=none&issuer=none", content_type="application/json")
    if f"{endpoint}-huge" in quirks:
        return web.Response(body=json.dumps({"padding": "x" * _HUGE}), content_type="application/json")
    if f"{endpoint}-truncated" in quirks:
        return await break_off(request, b'{"issuer": "http://127.0.0.1", "access_token": "eyJ')
    return None


async def break_off(request: web.Request, head: bytes = b"") -> web.StreamResponse:
    """Send the beginning of an answer and close the connection; without a beginning, close it at once."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(head) + 500
    if head:
        await response.prepare(request)
        await response.write(head)
    if request.transport is not None:
        request.transport.close()
    return response
