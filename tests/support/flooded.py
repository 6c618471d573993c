"""A process that 400 people use while somebody floods it; it prints what it weighs, and whom it remembers.

Run as a module, so that nothing of a test's own process is weighed with it.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gateway.app.gateway  # noqa: F401 - what a worker consists of is weighed with it
from gateway.core.access.forgetting import sweep
from gateway.core.decide import decide
from gateway.core.decision.answers import Forward
from gateway.core.fault import Fault
from gateway.core.headers.kinds import AUTHORIZATION, COOKIE
from gateway.http.messages.request_head import read_request_head
from tests.support.conversations import Side, State, bearer_line, session_line
from tests.support.pure import NOW

PEOPLE = 400
FLOOD = 16_384
PROXY = "10.0.0.1"
HOST = b"app.example.com"


def resident() -> float:
    """Return what this process weighs now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Gateway:
    """The parts of a data plane that remember: reading heads, and deciding."""

    def __init__(self) -> None:
        self.knowledge = Side(State(), remembers=True).pipeline.knowledge
        self.lines = self.knowledge.runtime.rules.request_lines

    def ask(self, *fields: bytes, host: bytes = HOST, target: bytes = b"/api/x") -> Any:
        """Return what is answered."""
        head = b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: " + host, *fields, b"", b""])
        try:
            request, _ = read_request_head(head, self.lines, peer=PROXY, tls=True)
        except Fault as fault:
            return fault
        return decide(request, self.knowledge, NOW, "request-1")

    def knows(self, line: bytes, kind: int) -> Any:
        """Return what was found of a line that is remembered, None where it is not."""
        found = self.lines.known.get(line) or self.lines._shelves[kind].old.get(line)
        return None if found is None else found.found


class Person:
    """Somebody with a token and application cookies, or with a session, behind a proxy."""

    def __init__(self, number: int) -> None:
        self.has_token = bool(number % 2)
        self.way = b"X-Forwarded-For: 198.51.%d.%d" % (number // 256, number % 256)
        if self.has_token:
            self.credential = bearer_line(sub=f"person-{number}", exp=NOW + 900)
            self.cookie = b"Cookie: theme=dark; visitor=%032d" % number
        else:
            self.credential = self.cookie = session_line(f"person-{number}", 500)

    def ask(self, gateway: Gateway) -> None:
        """Ask for something, and get it."""
        fields = (self.credential, self.cookie) if self.has_token else (self.cookie,)
        answer = gateway.ask(self.way, b"Accept: */*", b"Accept-Language: de-CH, de;q=0.9", *fields)
        assert isinstance(answer, Forward), answer

    def is_known(self, gateway: Gateway) -> list[bool]:
        """Tell of each fact that this person's requests use whether it is remembered."""
        proxies = gateway.knowledge.runtime.rules.proxies
        cookie = gateway.knows(self.cookie, COOKIE)
        known = [proxies._remembered.get((PROXY, True, HOST, (self.way,))) is not None, cookie is not None]
        if self.has_token:
            token = gateway.knows(self.credential, AUTHORIZATION)
            return [*known, token is not None and token.verified is not None]
        return [*known, cookie is not None and bool(cookie.leads_to)]


def flood() -> Iterator[dict[str, Any]]:
    """Yield what is asked by whoever wants to fill the memory."""
    for number in range(FLOOD):
        name = b"__Host-gateway-session" if number % 2 else b"a"
        line = b"Cookie: theme=dark; %b=%08d%b" % (name, number, b"x" * 8000)
        # what comes twice is let in
        yield {"fields": (line,)}
        yield {"fields": (line,)}
    for number in range(FLOOD):
        yield {"fields": (b"Authorization: Bearer eyJ%08d.%b.x" % (number, b"x" * 4000),)}
        yield {"fields": (b"X-Name-%d: 1" % number, b"X-Same: %d" % number)}
        yield {"fields": (b"X-Twice: %d%b" % (number, b"x" * 180),) * 2}
        yield {"fields": (b"X-Forwarded-For: 203.0.113.9%b%d" % (b" " * 450, number % 10),)}
        way = b"X-Forwarded-For: 2001:db8::%x, 2001:db8::%x" % (number, number)
        yield {"fields": (way,)}
        yield {"fields": (way,)}
    for number in range(FLOOD // 2):
        yield {"fields": (), "host": b"h%d.example.com" % number}
        yield {"fields": (), "target": b"/d%d/x" % number}
        yield {"fields": (b"Connection: x%d" % number,)}


def main() -> None:
    """Let all happen, and print how it ended."""
    gateway = Gateway()
    people = [Person(number) for number in range(PEOPLE)]
    for _ in range(3):
        for person in people:
            person.ask(gateway)
    before, peak = resident(), 0.0
    for number, each in enumerate(flood()):
        answer = gateway.ask(*each.pop("fields"), **each)
        assert not isinstance(answer, Forward)
        if number % 4 == 0:
            # a fifth of the requests are somebody's
            people[number // 4 % PEOPLE].ask(gateway)
        if number % 4096 == 0:
            peak = max(peak, resident())
        if number % 32_768 == 0:
            # a minute has passed
            sweep(gateway.knowledge, NOW, is_news=False)
    known = [person.is_known(gateway) for person in people]
    names = ("way", "cookie", "credential")
    forgotten = {name: sum(not each[index] for each in known) for index, name in enumerate(names)}
    found = {"before": before, "after": resident(), "peak": max(peak, resident()), "forgotten": forgotten}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
