"""An operator's browser at the console, without a window: cookies, forms, and what a page says."""

import contextlib
import html
import re
import ssl
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any, Self

import aiohttp

from tests.support.fleet import Fleet
from tests.support.world import Page, merge

TOKENS = {
    "carol": {"token": "carols-token-0123456789-ABCDEFGH", "role": "revoke"},
    "rita": {"token": "ritas-token-0123456789-ABCDEFGHI", "role": "read"},
    "alan": {"token": "alans-token-0123456789-ABCDEFGHI", "role": "all"},
}
# over HTTP a browser's own fields; nothing else of it matters here
_SENT = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


@contextlib.asynccontextmanager
async def operated(workers: int, **override: Any) -> AsyncIterator[Fleet]:
    """Run a gateway whose operators log in by the tokens, or as the demo's admins at its provider."""
    fleet = Fleet(workers, **override)
    url = f"http://localhost:{fleet.admin_port}"
    console = {"url": url, "provider": "demo", "require": {"groups": ["admins"]}, "role": "revoke"}
    fleet.override = merge(fleet.override, {"admin": {"console": console, "tokens": TOKENS}})
    async with fleet:
        fleet.provider.redirect_uris = (*fleet.provider.redirect_uris, f"{url}/console/callback")
        yield fleet


class Desk:
    """One operator's browser.

    Args:
        port: of the admin listener.
        host: by which it is asked.
        scheme: of its URL.
        trust: by which its certificate is verified.
    """

    def __init__(
        self,
        port: int,
        host: str = "localhost",
        *,
        scheme: str = "http",
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.origin = f"{scheme}://{host}:{port}"
        self.jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        connector = aiohttp.TCPConnector(ssl=trust if trust is not None else True)
        self.client = aiohttp.ClientSession(cookie_jar=self.jar, connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        follow: bool = True,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Page:
        """Send a request as a browser does; ``path`` is below ``/console/``."""
        url = path if path.startswith("http") else f"{self.origin}/console/{path}"
        sent = _SENT | ({"Origin": self.origin} if method == "POST" else {}) | (headers or {})
        async with self.client.request(
            method,
            url,
            headers={name: each for name, each in sent.items() if each},
            allow_redirects=follow,
            **more,
        ) as answer:
            return Page(answer.status, answer.headers, await answer.text(), answer.url)

    async def get(self, path: str = "", **more: Any) -> Page:
        """Ask for a page."""
        return await self.ask("GET", path, **more)

    async def log_in(self, name: str = "carol") -> Page:
        """Log in by the token of this name."""
        return await self.ask("POST", "login", data={"token": TOKENS[name]["token"]})

    async def send(self, page: Page, action: str, **fields: str) -> Page:
        """Fill in and send the form of a page that posts there, with what it holds already."""
        found = re.search(
            rf'<form method="post" action="/console/{action}">(.*?)</form>', page.text, re.DOTALL
        )
        assert found is not None, f"no form for {action} in {page.text}"
        held = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', found[1]))
        data = {name: html.unescape(value) for name, value in held.items()} | fields
        return await self.ask("POST", action, data=data)


def csrf_of(page: Page) -> str:
    """Return the token of the session that a page's forms hold."""
    return re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]


def words_of(page: Page) -> str:
    """Return what a page says, without its elements."""
    body = page.text.partition("<main")[2]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


class Seen(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one."""
        self.tags.append(tag)
        self.attributes += attrs


def inert(text: str) -> None:
    """Assert that a page runs nothing, loads nothing, and leads nowhere else."""
    seen = Seen(text)
    assert not {"script", "img", "iframe", "object", "embed", "base", "audio", "video"} & set(seen.tags)
    for name, value in seen.attributes:
        assert not name.startswith("on"), name
        assert name != "style", "the policy would refuse it"
        if name in ("href", "action", "src"):
            assert value is not None
            assert value.startswith(("/console/", "#")), value
    # controls and what turns the direction of a text around
    assert (
        re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\u2029]", text) is None
    )
