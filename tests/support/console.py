"""An operator's browser at the console, without a window: cookies, forms, and what a page says."""

import html
import re
from typing import Any, Self

import aiohttp

from tests.support.world import Page

TOKENS = {
    "carol": {"token": "carols-token-0123456789-ABCDEFGH", "role": "revoke"},
    "rita": {"token": "ritas-token-0123456789-ABCDEFGHI", "role": "read"},
    "alan": {"token": "alans-token-0123456789-ABCDEFGHI", "role": "all"},
}
# over HTTP a browser's own fields; nothing else of it matters here
_SENT = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


class Desk:
    """One operator's browser.

    Args:
        port: of the admin listener.
        host: by which it is asked.
    """

    def __init__(self, port: int, host: str = "localhost") -> None:
        self.origin = f"http://{host}:{port}"
        self.jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self.client = aiohttp.ClientSession(cookie_jar=self.jar)

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
