"""What the demo provider is and remembers: accounts, switches, logins, keys, and what its tokens hold."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

from aiohttp import web

from gateway.demo.backchannel import LogoutAnswer, post_logout_token
from gateway.demo.clients import Registration, thumbprint_of
from gateway.demo.faults import Canned, Quirks, spoil
from gateway.demo.grants import Family, Grants, OAuthError
from gateway.demo.keys import SigningKeys
from gateway.demo.people import known_people
from gateway.demo.proofs import Proofs
from gateway.demo.registered import RegisteredClients
from gateway.demo.tokens import TokenFactory
from gateway.syntax.urls import is_loopback

SCOPES = ("openid", "profile", "email", "offline_access", "api")
ACR_VALUES = ("pwd", "mfa")


def demo_accounts() -> dict[str, dict[str, Any]]:
    """Return the accounts that everybody knows. ``acr`` lists how strongly each can authenticate."""
    return {
        "alice": {
            "password": "alice",
            "name": "Alice Example",
            "email": "alice@example.com",
            "groups": ["admins"],
            "acr": ["pwd", "mfa"],
        },
        "bob": {
            "password": "bob",
            "name": "Bob Example",
            "email": "bob@example.com",
            "groups": ["staff"],
            "acr": ["pwd"],
        },
    }


def loopback(host: str) -> str:
    """Return ``host`` when it is this machine alone.

    Raises:
        ValueError: it is not; the demo's passwords are public.
    """
    if not is_loopback(host):
        raise ValueError(f"the demo listens on the loopback only, not on {host!r}: its secrets are public")
    return host


class ProviderState:
    """What the provider is and remembers, and the tokens that it gives; its endpoints all work on this one.

    Attributes:
        accounts: by user name; ``password`` and ``acr`` stay private, everything else becomes claims.
        redirect_uris: the client's registered ones, compared exactly.
        post_logout_redirect_uris: likewise; None: ``/.gateway/logged-out`` at the origins of the former.
        access_lifetime: of access tokens, in seconds.
        exchange_audiences: for whom tokens are exchanged.
        slow_seconds: how long the ``-slow`` faults wait.
        quirks: the fault switches that are on.
        counts: calls by endpoint, such as ``jwks`` or ``token:refresh_token``.
        canned: answers by endpoint or call, given in its stead; nothing is then issued, spent or rotated.
        held: events by endpoint or call, for which its answers wait.
        client: what the client is registered with.
        registered: the clients that nobody has set up.
        proofs: those that have tokens bound to a key.
        pushed_requests: whether logins may be pushed, or have to be (RFC 9126).
        tls: with what it listens for clients that show a certificate, None: not at all.
        tls_port: where, once it does.
        alter: what edits the members of a successful token response, by grant type.
        people: who the accounts are at the services of ``gateway.demo.user_apis``.
        lasting_tokens: the services whose tokens do not expire, and are never refreshed.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        redirect_uris: Iterable[str],
        audience: str,
        clock: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.redirect_uris: tuple[str, ...] = tuple(redirect_uris)
        self.post_logout_redirect_uris: tuple[str, ...] | None = None
        self.access_lifetime = 60.0
        self.slow_seconds = 15.0
        self.exchange_audiences: set[str] = {"orders-api", "https://billing.example.com"}
        self.counts: Counter[str] = Counter()
        self.canned: dict[str, Canned] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.alter: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.people = known_people()
        self.lasting_tokens = {"github"}
        self.client = Registration()
        self.registered = RegisteredClients(clock)
        self.proofs = Proofs(clock)
        self.pushed_requests: Literal["no", "offered", "required"] = "no"
        self.tls: ssl.SSLContext | None = None
        self.tls_port = 0
        self.clock = clock
        self.port = port
        self.grants = Grants(clock)
        self.keys = SigningKeys(client_secret)
        self._quirks = Quirks()
        self.host = loopback(host)
        self.tokens = TokenFactory(self.keys, lambda: self.issuer, client_id, audience, clock, self._quirks)
        self.accounts = self.tokens.accounts
        self.accounts.update(demo_accounts())

    @property
    def quirks(self) -> Quirks:
        """The fault switches that are on; an unknown name raises ValueError."""
        return self._quirks

    @quirks.setter
    def quirks(self, names: Iterable[str]) -> None:
        chosen = Quirks(names)
        self._quirks.clear()
        self._quirks.update(chosen)

    @property
    def base(self) -> str:
        """The origin that it listens on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.base + "/" * ("issuer-trailing-slash" in self._quirks)

    def mint(
        self,
        user: str,
        scope: str = "",
        audience: str | None = None,
        lifetime: float | None = None,
        jti: str | None = None,
        **claims: Any,  # noqa: ANN401 - any JSON
    ) -> str:
        """Return an access token of somebody without a login; ``claims`` add and override.

        It is a JWT, or opaque where a switch says so.
        """
        seconds = self.access_lifetime if lifetime is None else lifetime
        token = self.tokens.access_token(user, scope, audience, seconds, jti, **claims)
        return self.grants.hide(token) if "opaque-access-tokens" in self._quirks else token

    def sign(self, claims: dict[str, Any], header: dict[str, Any] | None = None, alg: str = "RS256") -> str:
        """Sign any claims as the provider would (RS256, ES256, HS256 or none)."""
        return self.keys.sign(claims, header, alg)

    def logout_token(self, sub: str | None = None, sid: str | None = None, **claims: Any) -> str:  # noqa: ANN401
        """Return a logout token (Back-Channel Logout section 2.4) as the switches would have it."""
        return self.tokens.logout_token(sub, sid, **claims)

    async def backchannel_logout(
        self, *, uri: str, sub: str | None = None, sid: str | None = None
    ) -> LogoutAnswer:
        """Post a logout token to the client (Back-Channel Logout section 2.5) and return its answer."""
        return await post_logout_token(uri, self.logout_token(sub, sid))

    def rotate_keys(self) -> None:
        """Sign with new keys from now on; the last ones stay published until the next rotation."""
        self.keys.rotate()

    def revoke_all(self) -> None:
        """End every login: refresh tokens are refused, access tokens are inactive here."""
        self.grants.revoke_all()

    def issue(
        self,
        family: Family,
        *,
        nonce: str | None = None,
        at_refresh: bool = False,
        resources: tuple[str, ...] = (),
        certificate: bytes | None = None,
        key: str = "",
    ) -> dict[str, Any]:
        """Return a successful token response (RFC 6749 section 5.1) for a login or a refresh.

        The access token is for ``resources``, and bound to the ``certificate`` that the client
        showed, or to the ``key`` whose thumbprint this is.
        """
        quirks = self._quirks
        scope = " ".join(family.scopes)
        wanted = () if "resource-ignored" in quirks else resources or family.resources
        more: dict[str, Any] = {"aud": list(wanted) if len(wanted) > 1 else wanted[0]} if wanted else {}
        if family.client_id:
            more["client_id"] = family.client_id
        if certificate is not None or key:
            shown = {} if certificate is None else {"x5t#S256": thumbprint_of(certificate)}
            more["cnf"] = shown | ({"jkt": key} if key else {})
        access_token = self.mint(
            family.user, scope, sid=family.sid, auth_time=family.auth_time, acr=family.acr, **more
        )
        answer: dict[str, Any] = self.bearer(access_token, scope) | ({"token_type": "DPoP"} if key else {})
        family.key = key
        if "openid" in family.scopes and not (at_refresh and "no-id-token-at-refresh" in quirks):
            answer["id_token"] = self.tokens.id_token(
                family, access_token, nonce=nonce, at_refresh=at_refresh
            )
        keeps = "no-refresh-token" in quirks or (at_refresh and "refresh-no-rotation" in quirks)
        if "offline_access" in family.scopes and not keeps:
            answer["refresh_token"] = self.grants.issue_refresh_token(family)
        family.answer = answer
        return answer

    def judge_resources(self, wanted: tuple[str, ...], granted: tuple[str, ...] | None = None) -> None:
        """Judge what a token is asked to be for (RFC 8707 section 2).

        Raises:
            OAuthError: ``invalid_target``: not registered, or more than the login was ``granted``.
        """
        allowed = self.client.resources if granted is None else frozenset(granted)
        if wanted and ("resource-refused" in self._quirks or not allowed.issuperset(wanted)):
            raise OAuthError("invalid_target", "the client may not ask for this resource")

    def bearer(self, access_token: str, scope: str) -> dict[str, Any]:
        """Return the members that every successful token response has."""
        lifetime = self.access_lifetime
        return {
            "access_token": access_token,
            "token_type": "bearer" if "lower-case-bearer" in self._quirks else "Bearer",
            "expires_in": int(lifetime) if lifetime == int(lifetime) else lifetime,
            "scope": scope,
        }

    def read_access_token(self, token: str) -> dict[str, Any] | None:
        """Return the claims of an access token of ours that is good now, else None."""
        claims = self.keys.verify(self.grants.opaque.get(token, token))
        if claims is None or "client_id" not in claims or self.clock() >= claims["exp"]:
            return None
        dead = claims.get("jti") in self.grants.revoked_jti or not self.grants.is_alive(claims.get("sid"))
        return None if dead else claims

    def post_logout_uris(self, client_id: str) -> tuple[str, ...] | None:
        """Return where a logout of a client may lead back to; None where nobody knows the client."""
        if client_id != self.client_id:
            client = self.registered.known(client_id)
            return None if client is None else client.post_logout_redirect_uris
        if self.post_logout_redirect_uris is not None:
            return self.post_logout_redirect_uris
        origins = (urlsplit(uri) for uri in self.redirect_uris)
        return tuple(f"{each.scheme}://{each.netloc}/.gateway/logged-out" for each in origins)

    async def spoiled(self, request: web.Request, endpoint: str, call: str = "") -> web.StreamResponse | None:
        """Answer a call wrongly if a switch says so, or as ``canned`` has it for the endpoint or the call."""
        gate = self.held.get(call) or self.held.get(endpoint)
        if gate is not None:
            await gate.wait()
        canned = self.canned.get(call) or self.canned.get(endpoint)
        if canned is not None:
            return web.Response(status=canned.status, body=canned.body, headers=canned.headers)
        return await spoil(request, endpoint, self._quirks, self.slow_seconds)
