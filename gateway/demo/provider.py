"""An OpenID Connect provider to try the gateway with, and to test it against. Loopback only.

It does what the specifications ask, with every time taken from one clock, until a switch in ``quirks`` makes
it do otherwise (``gateway.demo.faults`` lists them all).
"""

import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway.demo.authorization import AuthorizationEndpoint
from gateway.demo.client_endpoints import ClientEndpoints
from gateway.demo.grants import OAuthError
from gateway.demo.messages import error_json, html_answer
from gateway.demo.open_endpoints import OpenEndpoints
from gateway.demo.pages import message
from gateway.demo.state import ProviderState
from gateway.demo.user_apis import UserApis

_MOST_BODY = 64 * 1024


class DemoProvider(ProviderState):
    """The provider. Start it, use it, close it; started again it keeps its port."""

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
        super().__init__(client_id, client_secret, redirect_uris, audience, clock, host, port)
        self._runner: web.AppRunner | None = None
        self._routes = self._endpoints()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        application = web.Application(client_max_size=_MOST_BODY)
        application.router.add_route("*", "/{tail:.*}", self._dispatch)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            if self.tls is not None:
                await web.TCPSite(runner, self.host, self.tls_port, ssl_context=self.tls).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        if self.tls is not None:
            self.tls_port = runner.addresses[1][1]

    async def close(self) -> None:
        """Stop listening; answers under way are cut off."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _endpoints(self) -> dict[str, tuple[str, Callable[[web.Request], Any]]]:
        authorization, client, own = AuthorizationEndpoint(self), ClientEndpoints(self), OpenEndpoints(self)
        self.user_apis = UserApis(self, authorization)
        return {
            "/.well-known/openid-configuration": ("GET HEAD", own.discovery),
            "/.well-known/oauth-authorization-server": ("GET HEAD", own.discovery),
            "/register": ("POST", client.register),
            "/jwks": ("GET HEAD", own.jwks),
            "/authorize": ("GET POST", authorization.authorize),
            "/login": ("POST", authorization.login),
            "/par": ("POST", authorization.push),
            "/token": ("POST", client.token),
            "/userinfo": ("GET POST", own.userinfo),
            "/revoke": ("POST", client.revoke),
            "/introspect": ("POST", client.introspect),
            "/graph/me/getMemberObjects": ("POST", own.groups),
            "/logout": ("GET POST", own.logout),
            "/mint": ("GET", own.mint),
            "/": ("GET HEAD", own.home),
            **self.user_apis.endpoints(),
        }

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        # a page of somebody else may point its own name at the loopback (DNS rebinding)
        if urlsplit(f"//{request.headers.get('Host', '')}").hostname not in {
            self.host,
            "localhost",
            "127.0.0.1",
        }:
            return web.Response(
                status=421, text="This is the demo's identity provider; it has another name.\n"
            )
        methods, handler = self._routes.get("/" + request.path.lstrip("/"), ("", None))
        if handler is None:
            return html_answer(message("Not found", "There is nothing here."), 404)
        if request.method not in methods.split():
            return web.Response(status=405, headers={"Allow": methods.replace(" ", ", ")}, text="405\n")
        try:
            answer: web.StreamResponse = await handler(request)
        except OAuthError as error:
            return error_json(error)
        return answer
