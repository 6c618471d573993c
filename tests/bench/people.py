"""Browsers and the people who use them: the header lines of each request, in each browser's own order. Pure.

Orders and values are what the browsers send over HTTP/1.1. A request has a destination as Fetch calls it
(``document``, ``style``, ``script``, ``image``, ``font``, ``empty`` for a fetch()), and a browser renders the
lines for it around what is the person's own: language, cookies, credential.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

DOCUMENT, STYLE, SCRIPT, IMAGE, FONT, FETCH = "document", "style", "script", "image", "font", "empty"
DESTINATIONS = (DOCUMENT, STYLE, SCRIPT, IMAGE, FONT, FETCH)
LANGUAGES = (
    "en-US,en;q=0.9",
    "en-GB,en;q=0.9,de;q=0.8",
    "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "fr-FR,fr;q=0.9,en;q=0.8",
    "es-ES,es;q=0.9",
    "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7",
    "ja,en-US;q=0.9,en;q=0.8",
    "zh-CN,zh;q=0.9",
    "pl-PL,pl;q=0.9,en;q=0.8",
    "tr-TR,tr;q=0.9",
)
MOST_COOKIES = 4

_CHROMIUM_ACCEPT = {
    DOCUMENT: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7",
    STYLE: "text/css,*/*;q=0.1",
    SCRIPT: "*/*",
    IMAGE: "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    FONT: "*/*",
    FETCH: "application/json, text/plain, */*",
}
_FIREFOX_ACCEPT = {
    DOCUMENT: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    STYLE: "text/css,*/*;q=0.1",
    SCRIPT: "*/*",
    IMAGE: "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    FONT: "application/font-woff2;q=1.0,application/font-woff;q=0.9,*/*;q=0.8",
    FETCH: "application/json, text/plain, */*",
}
_SAFARI_ACCEPT = {
    DOCUMENT: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    STYLE: "text/css,*/*;q=0.1",
    SCRIPT: "*/*",
    IMAGE: "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,"
    "image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    FONT: "*/*",
    FETCH: "application/json, text/plain, */*",
}
_FIREFOX_PRIORITY = {
    DOCUMENT: "u=0, i",
    STYLE: "u=2",
    SCRIPT: "u=2",
    IMAGE: "u=5, i",
    FONT: "u=2",
    FETCH: "u=4",
}
_SAFARI_PRIORITY = {
    DOCUMENT: "u=0, i",
    STYLE: "u=1",
    SCRIPT: "u=1",
    IMAGE: "u=5, i",
    FONT: "u=3",
    FETCH: "u=3, i",
}

# what stands in a browser's order for lines that depend on the request; a field's name stands for itself
OWN, COOKIE, CONDITION = "(own)", "(cookie)", "(condition)"

_CHROMIUM_NAVIGATION = (
    "Host", "Connection", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "Upgrade-Insecure-Requests",
    "User-Agent", "Accept", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-User", "Sec-Fetch-Dest", "Referer",
    "Accept-Encoding", "Accept-Language", OWN, COOKIE, CONDITION,
)  # fmt: skip
_CHROMIUM_REST = (
    "Host", "Connection", "Content-Length", "sec-ch-ua-platform", OWN, "User-Agent", "sec-ch-ua",
    "Content-Type", "sec-ch-ua-mobile", "Origin", "Accept", "Sec-Fetch-Site", "Sec-Fetch-Mode",
    "Sec-Fetch-Dest", "Referer", "Accept-Encoding", "Accept-Language", COOKIE, CONDITION,
)  # fmt: skip
_FIREFOX_ALL = (
    "Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Referer", "Content-Type", OWN,
    "Content-Length", "Origin", "Connection", COOKIE, "Upgrade-Insecure-Requests", "Sec-Fetch-Dest",
    "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", CONDITION, "Priority",
)  # fmt: skip
_SAFARI_NAVIGATION = (
    "Host", "Sec-Fetch-Site", CONDITION, "Connection", "Upgrade-Insecure-Requests", "Sec-Fetch-Mode",
    COOKIE, "Accept", "User-Agent", "Referer", OWN, "Accept-Language", "Sec-Fetch-Dest", "Accept-Encoding",
    "Priority",
)  # fmt: skip
_SAFARI_REST = (
    "Host", "Accept", OWN, "Content-Type", "Sec-Fetch-Site", "Accept-Language", "Sec-Fetch-Mode",
    "Accept-Encoding", "Origin", CONDITION, "User-Agent", "Content-Length", "Referer", "Connection",
    COOKIE, "Sec-Fetch-Dest", "Priority",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Browser:
    """One kind of browser on one platform: its field orders, and the values that are always the same.

    ``origin_for_fonts`` says that a font of the same origin is fetched with Origin, as Chromium does.
    """

    name: str
    navigation: tuple[str, ...]
    rest: tuple[str, ...]
    fixed: Mapping[str, str]
    accept: Mapping[str, str]
    priority: Mapping[str, str]
    origin_for_fonts: bool = False

    def lines(
        self, destination: str, own: Mapping[str, str], varying: Mapping[str, tuple[str, ...]]
    ) -> Iterator[str]:
        """Yield the header lines of a request.

        ``own`` are the values that this request has of fields which are in the order; ``varying`` are whole
        lines for the places OWN, COOKIE and CONDITION.
        """
        values = self._values(destination) | dict(own)
        for name in self.navigation if destination == DOCUMENT else self.rest:
            if name in varying:
                yield from varying[name]
            elif name in values:
                yield f"{name}: {values[name]}\r\n"

    def _values(self, destination: str) -> dict[str, str]:
        values = {**self.fixed, "Connection": "keep-alive", "Accept": self.accept[destination]}
        values["Sec-Fetch-Dest"] = destination
        if destination == DOCUMENT:
            values |= {"Upgrade-Insecure-Requests": "1", "Sec-Fetch-Mode": "navigate"}
            if "Sec-Fetch-User" in self.navigation:
                values["Sec-Fetch-User"] = "?1"
        else:
            values["Sec-Fetch-Mode"] = "cors" if destination in (FETCH, FONT) else "no-cors"
        if destination == FONT and not self.origin_for_fonts:
            values.pop("Origin", None)
        if destination in self.priority:
            values["Priority"] = self.priority[destination]
        return values


def _chromium(name: str, agent: str, brands: str, platform: str, *, is_mobile: bool = False) -> Browser:
    fixed = {
        "User-Agent": f"Mozilla/5.0 ({agent}",
        "sec-ch-ua": brands,
        "sec-ch-ua-mobile": "?1" if is_mobile else "?0",
        "sec-ch-ua-platform": f'"{platform}"',
        "Accept-Encoding": "gzip, deflate, br, zstd",
    }
    return Browser(
        name, _CHROMIUM_NAVIGATION, _CHROMIUM_REST, fixed, _CHROMIUM_ACCEPT, {}, origin_for_fonts=True
    )


def _firefox(name: str, agent: str) -> Browser:
    fixed = {"User-Agent": f"Mozilla/5.0 ({agent}", "Accept-Encoding": "gzip, deflate, br, zstd"}
    return Browser(name, _FIREFOX_ALL, _FIREFOX_ALL, fixed, _FIREFOX_ACCEPT, _FIREFOX_PRIORITY)


def _safari(name: str, agent: str) -> Browser:
    fixed = {"User-Agent": f"Mozilla/5.0 ({agent}", "Accept-Encoding": "gzip, deflate"}
    return Browser(name, _SAFARI_NAVIGATION, _SAFARI_REST, fixed, _SAFARI_ACCEPT, _SAFARI_PRIORITY)


_CHROME = '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'
_EDGE = '"Chromium";v="142", "Microsoft Edge";v="142", "Not_A Brand";v="99"'
_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0"

BROWSERS = (
    _chromium("Chrome, Windows", f"Windows NT 10.0; Win64; x64) {_BLINK} Safari/537.36", _CHROME, "Windows"),
    _chromium(
        "Chrome, macOS", f"Macintosh; Intel Mac OS X 10_15_7) {_BLINK} Safari/537.36", _CHROME, "macOS"
    ),
    _chromium(
        "Chrome, Android",
        f"Linux; Android 10; K) {_BLINK} Mobile Safari/537.36",
        _CHROME,
        "Android",
        is_mobile=True,
    ),
    _chromium(
        "Edge, Windows",
        f"Windows NT 10.0; Win64; x64) {_BLINK} Safari/537.36 Edg/142.0.0.0",
        _EDGE,
        "Windows",
    ),
    _firefox("Firefox, Windows", "Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    _firefox("Firefox, Linux", "X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    _safari("Safari, macOS", f"Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Safari/605.1.15"),
    _safari(
        "Safari, iPhone", f"iPhone; CPU iPhone OS 18_7 like Mac OS X) {_WEBKIT} Mobile/15E148 Safari/604.1"
    ),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a browser: ``cookies`` are the application's own, ``address`` is what a proxy reports."""

    number: int
    browser: Browser
    language: str
    cookies: tuple[str, ...]
    address: str


def _cookies(draw: random.Random) -> tuple[str, ...]:
    stamp, visitor = draw.randrange(1_700_000_000, 1_764_000_000), draw.randrange(10**8, 10**9)
    every = (
        f"_ga=GA1.1.{visitor}.{stamp}",
        f"theme={draw.choice(('dark', 'light', 'system'))}",
        f"consent={draw.getrandbits(96):024x}.{stamp}",
        f"app_session={draw.getrandbits(256):064x}",
    )
    return tuple(draw.sample(every, draw.randint(0, MOST_COOKIES)))


def people(count: int, seed: int = 1) -> list[Person]:
    """Return people: the first ones are the same however many there are."""
    draw = random.Random(seed)
    return [
        Person(
            number,
            BROWSERS[number % len(BROWSERS)],
            draw.choice(LANGUAGES),
            _cookies(draw),
            # a network set aside for benchmarks (RFC 2544), wide enough for each to have an address
            f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",
        )
        for number in range(count)
    ]
