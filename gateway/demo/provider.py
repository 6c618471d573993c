"""An OpenID Connect provider to try the gateway with, and to test it against. Loopback only.

It does what the specifications ask, with every time taken from one clock, until a switch in ``quirks`` makes
it do otherwise (``gateway.demo.faults`` lists them all).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway.demo.authorization import AuthorizationEndpoint
from gateway.demo.backchannel import LogoutAnswer, post_logout_token
from gateway.demo.client_endpoints import ClientEndpoints
from gateway.demo.faults import Canned, Quirks, spoil
from gateway.demo.grants import Family, Grants, OAuthError
from gateway.demo.keys import SigningKeys
from gateway.demo.messages import bearer_of, error_json, json_answer, parameters, redirect
from gateway.demo.pages import headers as page_headers
from gateway.demo.pages import message
from gateway.demo.tokens import TokenFactory

SCOPES = ("openid", "profile", "email", "offline_access", "api")
ACR_VALUES = ("pwd", "mfa")
_MOST_BODY = 64 * 1024


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
    try:
        is_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"the demo listens on the loopback only, not on {host!r}: its secrets are public")
    return host


class DemoProvider:
    """The provider. Start it, use it, close it; started again it keeps its port.

    Attributes:
        accounts: by user name; ``password`` and ``acr`` stay private, everything else becomes claims.
        redirect_uris: the client's registered ones, compared exactly.
        post_logout_redirect_uris: likewise; None: ``/.gateway/logged-out`` at the origins of the former.
        access_lifetime: of access tokens, in seconds.
        slow_seconds: how long the ``-slow`` faults wait.
        quirks: the fault switches that are on.
        counts: calls by endpoint, such as ``jwks`` or ``token:refresh_token``.
        canned: answers by endpoint or call, given in its stead; nothing is then issued, spent or rotated.
        held: events by endpoint or call, for which its answers wait.
        alter: what edits the members of a successful token response, by grant type.
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
        self.counts: Counter[str] = Counter()
        self.canned: dict[str, Canned] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.alter: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.clock = clock
        self.port = port
        self.grants = Grants(clock)
        self.keys = SigningKeys(client_secret)
        self._quirks = Quirks()
        self._host = loopback(host)
        self.tokens = TokenFactory(self.keys, lambda: self.issuer, client_id, audience, clock, self._quirks)
        self.accounts = self.tokens.accounts
        self.accounts.update(demo_accounts())
        self._runner: web.AppRunner | None = None
        self._routes = self._endpoints()

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
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.base + "/" * ("issuer-trailing-slash" in self._quirks)

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        application = web.Application(client_max_size=_MOST_BODY)
        application.router.add_route("*", "/{tail:.*}", self._dispatch)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; answers under way are cut off."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def mint(
        self,
        user: str,
        scope: str = "",
        audience: str | None = None,
        lifetime: float | None = None,
        jti: str | None = None,
        **claims: Any,  # noqa: ANN401 - any JSON
    ) -> str:
        """Return an access token of somebody without a login; ``claims`` add and override."""
        seconds = self.access_lifetime if lifetime is None else lifetime
        return self.tokens.access_token(user, scope, audience, seconds, jti, **claims)

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

    def issue(self, family: Family, *, nonce: str | None = None, at_refresh: bool = False) -> dict[str, Any]:
        """Return a successful token response (RFC 6749 section 5.1) for a login or a refresh."""
        quirks = self._quirks
        scope = " ".join(family.scopes)
        access_token = self.mint(
            family.user, scope, sid=family.sid, auth_time=family.auth_time, acr=family.acr
        )
        answer: dict[str, Any] = self.bearer(access_token, scope)
        if not (at_refresh and "no-id-token-at-refresh" in quirks):
            answer["id_token"] = self.tokens.id_token(
                family, access_token, nonce=nonce, at_refresh=at_refresh
            )
        keeps = at_refresh and "refresh-no-rotation" in quirks
        if "offline_access" in family.scopes and not keeps:
            answer["refresh_token"] = self.grants.issue_refresh_token(family)
        family.answer = answer
        return answer

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
        claims = self.keys.verify(token)
        if claims is None or "client_id" not in claims or self.clock() >= claims["exp"]:
            return None
        dead = claims.get("jti") in self.grants.revoked_jti or not self.grants.is_alive(claims.get("sid"))
        return None if dead else claims

    def _endpoints(self) -> dict[str, tuple[str, Callable[[web.Request], Any]]]:
        authorization, client = AuthorizationEndpoint(self), ClientEndpoints(self)
        return {
            "/.well-known/openid-configuration": ("GET HEAD", self._discovery),
            "/jwks": ("GET HEAD", self._jwks),
            "/authorize": ("GET POST", authorization.authorize),
            "/login": ("POST", authorization.login),
            "/token": ("POST", client.token),
            "/userinfo": ("GET POST", self._userinfo),
            "/revoke": ("POST", client.revoke),
            "/introspect": ("POST", client.introspect),
            "/logout": ("GET POST", self._logout),
            "/mint": ("GET", self._mint),
            "/": ("GET HEAD", self._home),
        }

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        # a page of somebody else may point its own name at the loopback (DNS rebinding)
        if urlsplit(f"//{request.headers.get('Host', '')}").hostname not in {
            self._host,
            "localhost",
            "127.0.0.1",
        }:
            return web.Response(
                status=421, text="This is the demo's identity provider; it has another name.\n"
            )
        methods, handler = self._routes.get("/" + request.path.lstrip("/"), ("", None))
        if handler is None:
            return self.page(message("Not found", "There is nothing here."), 404)
        if request.method not in methods.split():
            return web.Response(status=405, headers={"Allow": methods.replace(" ", ", ")}, text="405\n")
        try:
            answer: web.StreamResponse = await handler(request)
        except OAuthError as error:
            return error_json(error)
        return answer

    def page(self, html: str, status: int = 200, form_targets: Iterable[str] = ()) -> web.Response:
        """Return an HTML answer under the strict policy of ``gateway.demo.pages``."""
        return web.Response(
            text=html, status=status, content_type="text/html", headers=page_headers(form_targets)
        )

    async def spoiled(self, request: web.Request, endpoint: str, call: str = "") -> web.StreamResponse | None:
        """Answer a call wrongly if a switch says so, or as ``canned`` has it for the endpoint or the call."""
        gate = self.held.get(call) or self.held.get(endpoint)
        if gate is not None:
            await gate.wait()
        canned = self.canned.get(call) or self.canned.get(endpoint)
        if canned is not None:
            return web.Response(status=canned.status, body=canned.body, headers=canned.headers)
        return await spoil(request, endpoint, self._quirks, self.slow_seconds)

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        self.counts["discovery"] += 1
        if (spoiled := await self.spoiled(request, "discovery")) is not None:
            return spoiled
        base = self.base + "/" * ("double-slash-endpoints" in self._quirks)
        mismatch = "discovery-issuer-mismatch" in self._quirks
        return json_answer(
            {
                "issuer": "https://somewhere-else.example" if mismatch else self.issuer,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/jwks",
                "userinfo_endpoint": f"{base}/userinfo",
                "revocation_endpoint": f"{base}/revoke",
                "introspection_endpoint": f"{base}/introspect",
                "end_session_endpoint": f"{base}/logout",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "form_post"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "subject_types_supported": ["public"],
                "acr_values_supported": list(ACR_VALUES),
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "prompt_values_supported": ["none", "login"],
                "authorization_response_iss_parameter_supported": True,
                "backchannel_logout_supported": True,
                "backchannel_logout_session_supported": True,
                "request_parameter_supported": False,
                "request_uri_parameter_supported": False,
            },
            cacheable=True,
        )

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        self.counts["jwks"] += 1
        if (spoiled := await self.spoiled(request, "jwks")) is not None:
            return spoiled
        quirks = self._quirks
        jwks = self.keys.jwks(
            only_one="kid-absent-single-jwks" in quirks, several="kid-absent-multiple-jwks" in quirks
        )
        return json_answer(jwks, cacheable=True)

    async def _userinfo(self, request: web.Request) -> web.StreamResponse:
        self.counts["userinfo"] += 1
        if (spoiled := await self.spoiled(request, "userinfo")) is not None:
            return spoiled
        token = bearer_of(request)
        claims = self.read_access_token(token) if token else None
        if claims is None:
            challenge = 'Bearer error="invalid_token"' if token else "Bearer"
            return web.Response(status=401, headers={"WWW-Authenticate": challenge}, text="401\n")
        scopes = tuple(str(claims["scope"]).split())
        if "openid" not in scopes:
            challenge = 'Bearer error="insufficient_scope", scope="openid"'
            return web.Response(status=403, headers={"WWW-Authenticate": challenge}, text="403\n")
        subject = str(claims["sub"])
        other = "-other" if "userinfo-invalid-sub" in self._quirks else ""
        return json_answer({"sub": subject + other, **self.tokens.profile(subject, scopes)})

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        """RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0)."""
        self.counts["logout"] += 1
        fields = await parameters(request)
        hint = self.keys.verify(fields.get("id_token_hint", ""))
        if hint is None or hint.get("aud") != self.client_id:
            explanation = "No login was named, so none was ended. This provider keeps no cookie in browsers."
            return self.page(message("Nobody to log out", explanation), 400)
        family = self.grants.families.get(str(hint.get("sid")))
        if family is not None:
            family.alive = False
        wanted = fields.get("post_logout_redirect_uri")
        if wanted is None or wanted not in self._post_logout_uris():
            return self.page(message("Logged out", "Your login at the demo identity provider has ended."))
        state = fields.get("state")
        if "rp-init-logout-no-state" in self._quirks:
            state = None
        elif "rp-init-logout-other-state" in self._quirks:
            state = "other"
        return redirect(wanted, {"state": state})

    def _post_logout_uris(self) -> tuple[str, ...]:
        if self.post_logout_redirect_uris is not None:
            return self.post_logout_redirect_uris
        origins = (urlsplit(uri) for uri in self.redirect_uris)
        return tuple(f"{each.scheme}://{each.netloc}/.gateway/logged-out" for each in origins)

    async def _mint(self, request: web.Request) -> web.StreamResponse:
        """Hand out an access token for trying APIs with curl: ``/mint?user=alice&scope=api``."""
        self.counts["mint"] += 1
        fields = await parameters(request)
        if fields.get("user") not in self.accounts:
            raise OAuthError("invalid_request", f"name a user: {', '.join(self.accounts)}")
        wanted = fields.get("scope", "").split()
        scope = " ".join(name for name in SCOPES if name in wanted)
        return web.Response(text=self.mint(fields["user"], scope), headers={"Cache-Control": "no-store"})

    async def _home(self, request: web.Request) -> web.StreamResponse:
        del request
        explanation = (
            "This is the identity provider of Token Gateway's demo. Logins begin at the gateway,"
            " not here; /.well-known/openid-configuration tells what there is."
        )
        return self.page(message("Demo identity provider", explanation))
