"""Floods of what comes once: tokens, cookies and names that nobody shows a second time. Pure.

What is sent by those who want the place of others in a memory: forged tokens, cookies of sessions that never
were, and fields that no browser knows. A fifth of the connections are theirs, and so of the requests.
"""

import base64
import json
import random
from collections.abc import Sequence

from tests.bench.people import COOKIE, FETCH, OWN, Person
from tests.bench.visits import (
    AUTHORITY,
    LEAST_REQUESTS,
    MOST_REQUESTS,
    OK,
    UNAUTHORIZED,
    Ask,
    Crowd,
    Script,
    direct,
)
from tests.bench.website import ANSWERS, READ

SHARE = 0.2
_SIGNATURE = 256
_COOKIE_BYTES = (300, 4000)
_NAMES = 8


def flooded(crowd: Crowd, token: str, cookies: Sequence[str], amount: int, seed: int) -> list[Script]:
    """Return direct visits, with connections of those who flood among them.

    ``token`` is one to forge others after, ``cookies`` are the names of session cookies.
    """
    scripts = direct(crowd, int(amount * (1 - SHARE)), seed)
    flooder = Flooder(crowd, token, cookies, seed)
    count = round(len(scripts) * SHARE / (1 - SHARE))
    for _ in range(count):
        length = flooder.draw.randint(LEAST_REQUESTS, MOST_REQUESTS)
        scripts.insert(flooder.draw.randrange(len(scripts) + 1), flooder.script(length))
    return scripts


class Flooder:
    """Draws what those send who flood."""

    def __init__(self, crowd: Crowd, token: str, cookies: Sequence[str], seed: int) -> None:
        self.draw = random.Random(seed)
        self._crowd = crowd
        self._header, payload, _ = token.split(".")
        self._claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        self._cookies = cookies

    def script(self, length: int) -> Script:
        """Return a connection of theirs."""
        kinds = (self._token, self._cookie, self._names)
        return [self.draw.choice(kinds)(self.draw.choice(self._crowd.people)) for _ in range(length)]

    def _token(self, person: Person) -> Ask:
        number = self.draw.getrandbits(64)
        claims = self._claims | {"sub": f"user-{number:016x}", "jti": f"{number:016x}"}
        payload = _encode(json.dumps(claims).encode())
        signature = _encode(self.draw.randbytes(_SIGNATURE))
        line = f"Authorization: Bearer {self._header}.{payload}.{signature}\r\n"
        return self._ask(person, UNAUTHORIZED, (line,), ())

    def _cookie(self, person: Person) -> Ask:
        pairs = [f"{name}={self._value()}" for name in self._cookies]
        pairs.append(f"c{self.draw.getrandbits(64):016x}={self._value()}")
        return self._ask(person, UNAUTHORIZED, (), (f"Cookie: {'; '.join(pairs)}\r\n",))

    def _value(self) -> str:
        return _encode(self.draw.randbytes(self.draw.randint(*_COOKIE_BYTES) * 3 // 4))

    def _names(self, person: Person) -> Ask:
        names = tuple(
            f"x-{self.draw.getrandbits(64):016x}: {self.draw.getrandbits(256):064x}\r\n"
            for _ in range(_NAMES)
        )
        return self._ask(person, OK, self._crowd.credentials[person.number].lines + names, ())

    def _ask(self, person: Person, status: int, own: tuple[str, ...], cookie: tuple[str, ...]) -> Ask:
        path = self.draw.choice(READ)
        values = {"Host": AUTHORITY, "Accept-Language": person.language, "Sec-Fetch-Site": "same-origin"}
        lines = "".join(person.browser.lines(FETCH, values, {OWN: own, COOKIE: cookie}))
        head = f"GET {path}/{self.draw.getrandbits(64):016x} HTTP/1.1\r\n{lines}\r\n"
        return Ask(head.encode("latin-1"), status, ANSWERS[path] if status == OK else -1)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
