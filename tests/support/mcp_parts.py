"""The official SDK's server and client (Model Context Protocol), and a person who logs in for the client."""

import asyncio
import contextlib
import html
import re
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import uvicorn
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

CALLBACK = "http://127.0.0.1:3030/callback"


class _Server(uvicorn.Server):
    """One that leaves the signals to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class ToolServer:
    """An MCP server with two tools, over Streamable HTTP and the older SSE.

    ``whoami`` says whom the gateway told of; ``wait`` reports progress until ``go_on`` is set.
    """

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = 0
        self.headers: list[dict[str, str]] = []
        self.mcp = MCPServer("tools")
        self.mcp.tool()(self.whoami)
        self.mcp.tool()(self.wait)

    async def whoami(self, ctx: Context) -> str:
        """Say who calls."""
        self.headers.append(dict(ctx.headers or {}))
        return self.headers[-1].get("x-forwarded-user", "nobody")

    async def wait(self, ctx: Context) -> str:
        """Wait, and tell so all the while."""
        self.waiting += 1
        try:
            while not self.go_on.is_set():
                await ctx.report_progress(1)
                await asyncio.sleep(0.02)
        finally:
            self.waiting -= 1
        return "done"


@contextlib.asynccontextmanager
async def serve(app: Any) -> AsyncIterator[str]:
    """Serve an application on an ephemeral port of the loopback; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class Storage:
    """What a client keeps, in memory."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        self.given: list[OAuthToken] = []

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens of before."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep new tokens."""
        self.tokens = tokens
        self.given.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the registration."""
        self.client = client_info


class Person:
    """Whoever sits before the agent: opens the page that it is asked to, logs in, and comes back."""

    def __init__(self, user: str = "alice") -> None:
        self.user = user
        self.asked: list[str] = []
        self._answer: AuthorizationCodeResult | None = None

    async def open(self, url: str) -> None:
        """Log in at the provider's form."""
        self.asked.append(url)
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as page:
                text = await page.text()
                assert page.status == 200, text
            found = re.search(r'name="transaction" value="([^"]+)"', text)
            assert found is not None, text
            form = {"transaction": html.unescape(found[1]), "username": self.user, "password": self.user}
            target = urlsplit(url)._replace(path="/login", query="").geturl()
            async with session.post(target, data=form, allow_redirects=False) as answer:
                back = answer.headers["Location"]
        assert back.startswith(CALLBACK)
        fields = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        self._answer = AuthorizationCodeResult(
            code=fields["code"], state=fields.get("state"), iss=fields.get("iss")
        )

    async def come_back(self) -> AuthorizationCodeResult:
        """Return what the provider sent along."""
        assert self._answer is not None
        return self._answer


class Agent:
    """A client that nobody has set up."""

    def __init__(self, server_url: str, person: Person | None = None, **more: Any) -> None:
        self.url = server_url
        self.person = person or Person()
        self.storage = Storage()
        self.auth = OAuthClientProvider(
            server_url,
            OAuthClientMetadata.model_validate({"redirect_uris": [CALLBACK], "client_name": "Agent"}),
            self.storage,
            redirect_handler=self.person.open,
            callback_handler=self.person.come_back,
            **more,
        )

    def transport(self) -> Any:
        """Return a transport of Streamable HTTP."""
        return streamable_http_client(self.url, http_client=create_mcp_http_client(auth=self.auth))
