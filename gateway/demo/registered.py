"""Clients of the demo provider that nobody has set up: they register (RFC 7591), or their id is a URL.

The latter is a client id metadata document (draft-ietf-oauth-client-id-metadata-document): the URL is
fetched, and says who the client is. As everything of the demo, it is for this machine alone.
"""

import asyncio
import hmac
import json
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp import web

from gateway.demo.clients import authenticate_by_secret, basic_user, refused
from gateway.demo.grants import Bounded, Fields, OAuthError
from gateway.demo.messages import json_answer
from gateway.syntax.urls import is_loopback, split_url

_MOST_DOCUMENT: Final = 5120
_MOST_URIS: Final = 10
_PATIENCE: Final = 5.0
_METHODS: Final = ("none", "client_secret_basic", "client_secret_post")
_GRANTS: Final = frozenset({"authorization_code", "refresh_token"})


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client; ``secret`` is empty where it is public, and has PKCE alone."""

    client_id: str
    redirect_uris: tuple[str, ...]
    secret: str = field(default="", repr=False)
    post_logout_redirect_uris: tuple[str, ...] = ()


class RegisteredClients:
    """All such clients.

    Attributes:
        resources: what they may ask tokens for (RFC 8707); where there are any, each login has to name one.
        trusted: by which authorities the servers of client ids that are URLs are known; None: there are none.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: Bounded[RegisteredClient] = Bounded()
        self.resources: set[str] = set()
        self.trusted: ssl.SSLContext | None = None

    async def register(self, request: web.Request) -> web.StreamResponse:
        """Register a client (RFC 7591 section 3)."""
        if request.content_type != "application/json":
            raise OAuthError("invalid_client_metadata", "post a JSON object")
        found = _object(await request.read())
        uris = _uris(found, "redirect_uris")
        method = found.get("token_endpoint_auth_method") or "client_secret_basic"
        if method not in _METHODS:
            raise OAuthError("invalid_client_metadata", f"token_endpoint_auth_method: {', '.join(_METHODS)}")
        _judge_grants(found)
        secret = "" if method == "none" else secrets.token_urlsafe(32)
        after = _uris(found, "post_logout_redirect_uris") if "post_logout_redirect_uris" in found else ()
        client = RegisteredClient(f"c-{secrets.token_urlsafe(16)}", uris, secret, after)
        self._known[client.client_id] = client
        answer: dict[str, Any] = {
            "client_id": client.client_id,
            "client_id_issued_at": int(self._clock()),
            "redirect_uris": list(uris),
            "token_endpoint_auth_method": method,
            "grant_types": sorted(_GRANTS),
            "response_types": ["code"],
        }
        if after:
            answer["post_logout_redirect_uris"] = list(after)
        if secret:
            answer |= {"client_secret": secret, "client_secret_expires_at": 0}
        name = found.get("client_name")
        return json_answer(answer | ({"client_name": name} if isinstance(name, str) else {}), 201)

    def known(self, client_id: str) -> RegisteredClient | None:
        """Return a client that has been here, None where it has not."""
        return self._known.get(client_id)

    async def find(self, client_id: str) -> RegisteredClient | None:
        """Return a client; one whose id is a URL is looked up there, each time that a login begins."""
        parts = split_url(client_id) if client_id.startswith("https://") else None
        if parts is None or self.trusted is None:
            return self._known.get(client_id)
        _judge_id(parts)
        document = await self._fetch(client_id, self.trusted)
        # what another URL says of itself is not this client's
        if document.get("client_id") != client_id:
            raise OAuthError("invalid_client_metadata", "client_id of the document is not its URL")
        if "client_secret" in document or document.get("token_endpoint_auth_method", "none") != "none":
            raise OAuthError("invalid_client_metadata", "a client whose id is a URL is a public one here")
        _judge_grants(document)
        client = self._known[client_id] = RegisteredClient(client_id, _uris(document, "redirect_uris"))
        return client

    def authenticate(self, request: web.Request, fields: Fields) -> RegisteredClient | None:
        """Return the client that calls, None where it is none of these.

        Raises:
            OAuthError: ``invalid_client``.
        """
        user = basic_user(request)
        client = self._known.get(fields.get("client_id", "") if user is None else user)
        if client is None:
            return None
        if client.secret:
            authenticate_by_secret(request, fields, client.client_id, client.secret)
        elif user is not None or "client_secret" in fields:
            raise refused("this client has no secret")
        return client

    def judge_resources(self, wanted: tuple[str, ...]) -> None:
        """Ask that a login is for a resource, where some are known. Raises OAuthError: ``invalid_target``."""
        if not wanted and not self.resources:
            return
        if not wanted or not self.resources.issuperset(wanted):
            raise OAuthError("invalid_target", "name a resource that is known here")

    @staticmethod
    async def _fetch(url: str, trusted: ssl.SSLContext) -> dict[str, Any]:
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                aiohttp.ClientSession(trust_env=False) as session,
                session.get(url, allow_redirects=False, ssl=trusted) as answer,
            ):
                body = await answer.content.read(_MOST_DOCUMENT + 1)
                if answer.status != 200 or answer.content_type != "application/json":
                    raise OAuthError("invalid_client_metadata", "there is no document of this client")
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"the client's document cannot be had: {type(error).__name__}"
            raise OAuthError("invalid_client_metadata", why) from None
        return _object(body)


def _judge_id(parts: SplitResult) -> None:
    is_plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    if not is_plain or parts.path in {"", "/"} or not is_loopback(parts.hostname or ""):
        raise OAuthError("invalid_client_metadata", "a client id is https, on this machine, and has a path")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if len(body) <= _MOST_DOCUMENT else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OAuthError("invalid_client_metadata", "no JSON object of at most 5,120 bytes")
    return found


def _uris(metadata: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = metadata.get(name)
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_URIS:
        raise OAuthError("invalid_redirect_uri", f"{name} is a list of some")
    for uri in found:
        parts = split_url(uri) if isinstance(uri, str) else None
        if parts is None or parts.fragment or not (parts.scheme == "https" or _is_here(uri)):
            raise OAuthError("invalid_redirect_uri", "each is https, or on this machine, without a fragment")
    return tuple(found)


def _is_here(uri: str) -> bool:
    return is_loopback(urlsplit(uri).hostname or "")


def _judge_grants(metadata: Mapping[str, Any]) -> None:
    grants, kinds = metadata.get("grant_types"), metadata.get("response_types")
    if grants is not None and (not isinstance(grants, list) or not _GRANTS.issuperset(map(str, grants))):
        raise OAuthError("invalid_client_metadata", f"grant_types: {', '.join(sorted(_GRANTS))}")
    if kinds is not None and kinds != ["code"]:
        raise OAuthError("invalid_client_metadata", "response_types: code")


def is_same_client(one: str, other: str) -> bool:
    """Tell whether two ids are one client's."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
