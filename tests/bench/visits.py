"""Page visits: what people's browsers ask of the site, connection by connection, drawn from a seed. Pure.

A visit is a document, 2 to 6 assets of which half are conditional, and 2 to 5 calls of the API, each with an
id that comes once; a quarter of the calls are POSTs of 20 to 400 bytes.

- ``direct``: a connection is one person's for 40 to 120 requests, then it is closed.
- ``pooled``: a connection is a proxy's; each of its requests is another person's than the one before, and
  says whose it is in X-Forwarded-For.

The authority has ORIGIN_PORT for its port; the player puts in the five digits of the proxy that it asks.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.bench.people import CONDITION, COOKIE, DOCUMENT, FETCH, FONT, OWN, Person
from tests.bench.website import ANSWERS, READ, WRITTEN, File, Site

ORIGIN_PORT = "#####"
AUTHORITY = f"localhost:{ORIGIN_PORT}"
LEAST_REQUESTS, MOST_REQUESTS = 40, 120
LEAST_BODY, MOST_BODY = 20, 400
# visits of different people that a proxy's connection carries at a time
_UNDER_WAY = 24
OK, NOT_MODIFIED, UNAUTHORIZED = 200, 304, 401


class Ask(NamedTuple):
    """One request as its bytes, and what answers it: the status, and the length of the body (-1: any)."""

    data: bytes
    status: int
    length: int


Script = list[Ask]


@dataclass(frozen=True, slots=True)
class Credential:
    """How a person is known: header lines, or a cookie line's value that stands before the application's."""

    lines: tuple[str, ...] = ()
    cookie: str = ""


def bearer(token: str) -> Credential:
    """Return the credential that a bearer token is."""
    return Credential((f"Authorization: Bearer {token}\r\n",))


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who visits what, and how: ``credentials`` by the person's number; ``scheme`` is the one people see."""

    people: Sequence[Person]
    credentials: Sequence[Credential]
    site: Site
    scheme: str = "http"
    is_proxied: bool = False
    authorities: Sequence[str] = (AUTHORITY,)

    def authority(self, person: Person) -> str:
        """Return the host that a person visits: always the same one."""
        return self.authorities[person.number % len(self.authorities)]

    def origin(self, person: Person) -> str:
        """Return the origin of the pages that a person visits."""
        return f"{self.scheme}://{self.authority(person)}"


class Visitor:
    """Draws the requests of one crowd."""

    def __init__(self, crowd: Crowd, seed: int) -> None:
        self.crowd = crowd
        self.draw = random.Random(seed)
        self._cookies = [self._cookie(person) for person in crowd.people]

    def _cookie(self, person: Person) -> tuple[str, ...]:
        session = self.crowd.credentials[person.number].cookie
        cookies = [*([session] if session else ()), *person.cookies]
        return (f"Cookie: {'; '.join(cookies)}\r\n",) if cookies else ()

    def visits(self, person: Person) -> Iterator[Ask]:
        """Yield the requests of one person, visit after visit, without end."""
        referer = ""
        while True:
            target, asks = self.visit(person, referer)
            yield from asks
            # half of the time the next page is reached by a link, else by the address bar
            referer = target if self.draw.random() < 0.5 else ""

    def visit(self, person: Person, referer: str = "") -> tuple[str, Script]:
        """Return one visit, and the URL of its document."""
        draw = self.draw
        document = draw.choice(self.crowd.site.documents)
        query = f"?page={draw.randint(1, 9)}" if draw.random() < 0.2 else ""
        asks = [self._document(person, document, query, referer)]
        page = f"{self.crowd.origin(person)}{document.path}{query}"
        assets = draw.sample(self.crowd.site.assets, draw.randint(2, 6))
        asks += [self._asset(person, asset, page) for asset in assets]
        asks += [self.call(person, page) for _ in range(draw.randint(2, 5))]
        return page, asks

    def render(
        self,
        person: Person,
        start: str,
        destination: str,
        own: dict[str, str],
        more: tuple[str, ...] = (),
        condition: tuple[str, ...] = (),
    ) -> str:
        """Return a request's head, with the empty line that ends it."""
        number = person.number
        own |= {"Host": self.crowd.authority(person), "Accept-Language": person.language}
        varying = {
            OWN: self.crowd.credentials[number].lines + more,
            COOKIE: self._cookies[number],
            CONDITION: condition,
        }
        lines = "".join(person.browser.lines(destination, own, varying))
        if self.crowd.is_proxied:
            lines += f"X-Forwarded-For: {person.address}\r\nX-Forwarded-Proto: {self.crowd.scheme}\r\n"
        return f"{start} HTTP/1.1\r\n{lines}\r\n"

    def _document(self, person: Person, file: File, query: str, referer: str) -> Ask:
        own = {"Sec-Fetch-Site": "same-origin", "Referer": referer} if referer else {"Sec-Fetch-Site": "none"}
        return Ask(
            self.render(person, f"GET {file.path}{query}", DOCUMENT, own).encode("latin-1"), OK, file.size
        )

    def _asset(self, person: Person, file: File, page: str) -> Ask:
        is_conditional = self.draw.random() < 0.5
        condition = (
            (f"If-None-Match: {file.etag}\r\n", f"If-Modified-Since: {file.last_modified}\r\n")
            if is_conditional
            else ()
        )
        own = {"Sec-Fetch-Site": "same-origin", "Referer": page}
        if file.destination == FONT and person.browser.origin_for_fonts:
            own["Origin"] = self.crowd.origin(person)
        head = self.render(person, f"GET {file.path}", file.destination, own, condition=condition)
        return Ask(head.encode("latin-1"), *((NOT_MODIFIED, 0) if is_conditional else (OK, file.size)))

    def call(self, person: Person, page: str) -> Ask:
        """Return a call of the API by a page."""
        draw = self.draw
        is_post = draw.random() < 0.25
        path = target = draw.choice(WRITTEN if is_post else READ)
        kinds = draw.sample(("request", "trace", "path", "query"), draw.randint(1, 2))
        more: tuple[str, ...] = ()
        if "path" in kinds:
            target += f"/{draw.getrandbits(64):016x}"
        if "query" in kinds:
            target += f"?request={draw.getrandbits(64):016x}"
        if "request" in kinds:
            more += (f"X-Request-ID: {_uuid(draw)}\r\n",)
        if "trace" in kinds:
            more += (f"traceparent: 00-{draw.getrandbits(128):032x}-{draw.getrandbits(64):016x}-01\r\n",)
        own, body = {"Sec-Fetch-Site": "same-origin", "Referer": page}, ""
        if is_post:
            body = _body(draw)
            own |= {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "Origin": self.crowd.origin(person),
            }
        head = self.render(person, f"{'POST' if is_post else 'GET'} {target}", FETCH, own, more)
        return Ask((head + body).encode("latin-1"), OK, ANSWERS[path])


def _uuid(draw: random.Random) -> str:
    text = f"{draw.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _body(draw: random.Random) -> str:
    frame = '{"v":""}'
    size = draw.randint(LEAST_BODY, MOST_BODY) - len(frame)
    return f'{{"v":"{draw.getrandbits(4 * size):0{size}x}"}}'


def direct(crowd: Crowd, amount: int, seed: int) -> list[Script]:
    """Return the scripts of connections, about ``amount`` requests together: one person's each."""
    visitor, scripts, made = Visitor(crowd, seed), list[Script](), 0
    while made < amount:
        person = visitor.draw.choice(crowd.people)
        length = visitor.draw.randint(LEAST_REQUESTS, MOST_REQUESTS)
        asks = visitor.visits(person)
        scripts.append([next(asks) for _ in range(length)])
        made += length
    return scripts


def pooled(crowd: Crowd, amount: int, seed: int, *, connections: int) -> list[Script]:
    """Return the scripts of a proxy's connections: each request is another person's than the one before."""
    visitor = Visitor(crowd, seed)
    return [_mixed(visitor, -(-amount // connections)) for _ in range(connections)]


def _mixed(visitor: Visitor, length: int) -> Script:
    """Return the requests of one connection: visits of several people, woven into each other."""
    script: Script = []
    under_way = [_begun(visitor) for _ in range(_UNDER_WAY)]
    last = -1
    while len(script) < length:
        at = visitor.draw.randrange(_UNDER_WAY)
        person, asks = under_way[at]
        if person == last:
            continue
        script.append(asks.pop())
        last = person
        if not asks:
            under_way[at] = _begun(visitor)
    return script


def _begun(visitor: Visitor) -> tuple[int, Script]:
    person = visitor.draw.choice(visitor.crowd.people)
    return person.number, visitor.visit(person)[1][::-1]


def single(crowd: Crowd, amount: int, seed: int) -> list[Script]:
    """Return connections of one request each, a call of the API."""
    visitor = Visitor(crowd, seed)
    scripts: list[Script] = []
    for _ in range(amount):
        person = visitor.draw.choice(crowd.people)
        scripts.append([_alone(visitor, person)])
    return scripts


def roll(crowd: Crowd, connections: int, seed: int) -> list[Script]:
    """Return one call of each person, on so many connections: whoever remembers people then knows them."""
    visitor = Visitor(crowd, seed)
    return [
        [_alone(visitor, person) for person in crowd.people[first::connections]]
        for first in range(min(connections, len(crowd.people)))
    ]


def _alone(visitor: Visitor, person: Person) -> Ask:
    return visitor.call(person, f"{visitor.crowd.origin(person)}/")
