"""Whatever was remembered, every byte to either side is the one that a process without memory would send."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward
from gateway.core.fault import Fault
from gateway.core.headers import lines
from gateway.core.headers.lines import Budget, Budgets
from gateway.http.messages.request_head import read_request_head
from gateway.syntax.api_keys import id_of
from tests.support.conversations import (
    API_KEY,
    BOUND,
    CONFIGURATIONS,
    KEY_SETS,
    MACHINES,
    PEERS,
    VALID,
    Conversation,
    Side,
    credentials,
    forgetful,
)
from tests.support.conversations import forgetting as configuration
from tests.support.heads import FRAMING

LOOP = configuration(0).rules.loop_names[0]
METHODS = [b"GET"] * 8 + [b"POST", b"PUT", b"OPTIONS", b"HEAD"]
ODD_METHODS = [b"TRACE", b"get", b"BREW", b"CONNECT"]
TARGETS = [
    b"/",
    b"/x/y",
    b"/public/x",
    b"/public/x/y/z.css",
    b"/public/x?a|b{}^`",
    b"/passed/x",
    b"/optional/x?y=1",
    b"/api/x",
    b"/api/plain/x",
    b"/api/plain",
    b"/admin/x",
    b"/admin/",
    b"/old/x",
    b"/old/closed/x",
    b"/old/Closed/x",
    b"/api/open/x",
    b"/part/x?y=1",
    b"/part/",
    b"/corp/x",
    b"/near/x",
    b"/near/page",
    b"/near/page/",
    b"/near/page/x",
    b"/partner/x",
    b"/raw/x?%2f",
    b"/raw//x",
    b"/raw/x%2Fy;z/",
    b"/raw/../api/x",
    b"/res/x",
    b"/bound/x",
    b"/.well-known/oauth-protected-resource/res",
    b"/auth/userinfo",
    b"/auth/logout",
    b"/auth/x",
    b"/api//x",
    b"/public/../api/x",
    b"/public/%2e%2e/x",
    b"/public/x;/../../api/x",
    b"/PUBLIC/x",
    b"/publicx/x",
    b"http://app.example.com/api/x",
    b"http://evil.example.com/api/x",
    b"*",
    b"/a b",
]
BINDING = [b"/x", b"/bound/x", b"/res/x", b"/res/x", b"/api/x", b"/x", b"/bound/x"]
GUARDED = [b"/x", b"/api/x", b"/admin/x", b"/old/x", b"/part/x", b"/corp/x", b"/near/x", b"/api/open/x"] * 12
HOSTS = [
    b"app.example.com",
    b"app.example.com",
    b"plain.example.com",
    b"APP.example.com.",
    b"app.example.com:443",
    b"evil.example.com",
]
PLAIN = [
    b"X-Forwarded-User: root",
    b"X_Forwarded_User: root",
    b"X-Who: root",
    b"X_Mail: root",
    b"X-Gateway-Secret: guess",
    b"X-Gateway_Assertion: root",
    b"X-Forwarded-Host: evil.example.com",
    b"X-Forwarded-Host: plain.example.com",
    b"X-Forwarded-For: 198.51.100.7",
    b"X-Forwarded-For: 198.51.100.8, 10.0.0.9",
    b"x-forwarded-for:\t198.51.100.7 ",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Port: 8443",
    b"Forwarded: for=198.51.100.7;host=plain.example.com;proto=http",
    b"X-HTTP-Method-Override: GET",
    b"X-HTTP-Method-Override: DELETE",
    b"Connection: X-Forwarded-User, x-one",
    b"Connection: cookie",
    b"Connection: authorization, origin",
    b"Connection: remote-user,cdn-loop, host,accept",
    b"Connection: close",
    b"Connection:keep-alive",
    b"Cookie: theirs=1",
    b"Cookie:  theirs=1; a=b;",
    b"Cookie: __host-GATEWAY-session=x; a=b",
    b"Accept: text/html",
    b"Accept:text/html",
    b"Accept: */*",
    b"Sec-Fetch-Mode: navigate",
    b"Sec-Fetch-Mode: cors",
    b"X-Requested-With: XMLHttpRequest",
    b"Sec-Fetch-Site: same-origin",
    b"Sec-Fetch-Site: cross-site",
    b"Origin: https://app.example.com",
    b"Origin: https://evil.example.com",
    b"Access-Control-Request-Method: GET",
    b"Sec-Purpose: prefetch",
    b"Referer: https://app.example.com/page",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    b"User-Agent:curl/8.5.0",
    b'If-None-Match: "abc"',
    b"If-Modified-Since: Sat, 01 Jan 2028 00:00:00 GMT",
    b"Range: bytes=0-1",
    b"Accept-Language: de-CH, de;q=0.9",
    b"X-One: 1",
    b"X-One:2",
    b"X-One: \x80",
    b"x-one:  1\t",
    b"X-Two: a: b",
    b"X-Empty:",
    b"Remote-User: alice",
    b"Remote-User: root",
    b"remote-user: root",
    b"CDN-Loop: a.example",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Expect: 100-continue",
    b"Proxy-Authorization: Basic eA==",
    b"TE: trailers",
    b"Keep-Alive: 300",
]
ODD = [
    b"X-One : 1",
    b" folded",
    b"No colon",
    b"Transfer_Encoding: chunked",
    b"Host: app.example.com",
    b"Expect: 200-ok",
    b"Forwarded: for=nobody",
    b"X-Forwarded-For: nobody",
    b"CDN-Loop: " + b", ".join([LOOP] * 4),
]
BODIES = [
    *[([], b"")] * 9,
    ([b"Content-Length: 5"], b"hello"),
    ([b"Content-Length: 0"], b""),
    ([b"Transfer-Encoding: chunked"], b"3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n"),
    ([b"transfer-encoding:chunked"], b"x\r\n"),
    ([b"Content-Length: 5", b"Transfer-Encoding: chunked"], b"hello"),
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nDate: d\r\nSet-Cookie: a=b\r\nSet-Cookie: __Host-gateway-session=x\r\n\
Cache-Control: public, max-age=60\r\nSurrogate-Control: max-age=60\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: x-one, set-cookie\r\nX-One:1\r\nTransfer-Encoding: chunked\r\n\
Date: d\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nDate:d\r\nX-Request-ID: theirs\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 401 No\r\nDate: d\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nDate: d\r\n\r\n",
    b"HTTP/1.1 200 OK\nDate : d\nContent-Length: 5, 5\n\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
]
REVOKED = [
    ("sub", "alice"),
    ("sub", "bob"),
    ("sid", "sid-alice"),
    ("sid", "sid-carol"),
    ("session", "alice500"),
    ("session", "carol500"),
    ("jti", "main900"),
    ("jti", "bob"),
    ("sub", "dave"),
    ("jti", "dave"),
    ("key", id_of(API_KEY)),
    ("all", ""),
]
REVOKED_OF_MACHINES = [*REVOKED[-4:], ("jti", "nobody"), ("key", "a" * 16)]
EVENTS = [
    "time",
    "time",
    "time",
    "time",
    "revoke",
    "revoke",
    "keys",
    "reload",
    "renew",
    "supersede",
    "forget",
]
EVENTS += ["expire", "fresh", "sweep"]
POSITIONS = [None, None, ("e", 5), ("e", 6), ("f", 1)]


KEEPING = ["usual", "at once", "little"]
_FEW = Budget(6, 1 << 20, 17_000, 1000)
LITTLE = Budgets(_FEW, _FEW, _FEW, Budget(4, 1 << 20, 17_000), 4)


@contextmanager
def keeping(how: str) -> Iterator[None]:
    """Keep what comes again; or what comes for the first time already; or that, and very few of them."""
    usual = lines._Shelf.comes_again, lines.Budgets
    if how != "usual":
        lines._Shelf.comes_again = lambda *_: True
    if how == "little":
        lines.Budgets = lambda: LITTLE
    try:
        yield
    finally:
        lines._Shelf.comes_again, lines.Budgets = usual


def head_of(method: bytes, target: bytes, host: bytes, fields: list[bytes], version: bytes = b"1.1") -> bytes:
    """Return a request head."""
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, target, version), b"Host: " + host, *fields, b"", b""])


class Talk:
    """What is drawn of one conversation: requests that are alike, and what happens between them."""

    def __init__(self, seed: int, among: slice | None = None) -> None:
        self.draw = draw = random.Random(seed)
        # a few people, asked about and revoked again and again
        self.valid = credentials()[:VALID] if among is None else credentials()[among]
        self.who = draw.choices(credentials() if among is None else self.valid, k=2)
        self.who += draw.choices(self.valid, k=1)
        self.guarded = BINDING if among == BOUND else GUARDED[:7]
        self.revoked = draw.choices(REVOKED if among is None else REVOKED_OF_MACHINES, k=3)
        # who asks for the same in the same way each time: only what happens in between differs
        self.is_calm = draw.random() < 0.6
        self.ahead = 0
        self.asked = [self.question() for _ in range(self.draw.randint(1, 4))]

    def question(self) -> tuple:
        """Draw a request: from which client, and how often it comes."""
        draw = self.draw
        if self.is_calm:
            who = draw.choice([*self.valid, self.who[2]])
            method = draw.choice([b"GET", b"GET", b"GET", b"PUT"])
            return self.sent(method, draw.choice(self.guarded), HOSTS[0], [who])
        fields = draw.choices(self.who, k=draw.choice([0, 1, 1, 1, 1, 1, 2]))
        fields += draw.choices(PLAIN, k=draw.choice([0, 0, 1, 2, 5]))
        if draw.random() < 0.1:
            fields.append(draw.choice(ODD))
        draw.shuffle(fields)
        method, target = draw.choice(METHODS), draw.choice([*TARGETS, *GUARDED])
        return self.sent(method, target, draw.choice(HOSTS[:3]), fields)

    def sent(self, method: bytes, target: bytes, host: bytes, fields: list[bytes]) -> tuple:
        """Return a question, with what it takes to change it a little."""
        draw = self.draw
        framing, body = BODIES[0] if self.is_calm else draw.choice(BODIES)
        data = (
            head_of(method, target, host, [*fields, *framing], draw.choice([b"1.1"] * 29 + [b"1.0"])) + body
        )
        if draw.random() < 0.05:
            # two in a row, in one read
            data += data
        client = draw.randrange(4)
        # a connection is one client's
        peer, tls = PEERS[client % 3], client < 2
        return (client, peer, tls, data), (method, target, host, fields)

    def altered(self, question: tuple) -> tuple:
        """Return a question that differs a little from another."""
        method, target, host, fields = question[1]
        draw = self.draw
        which = draw.choice([0, 2]) if self.is_calm else draw.randrange(6)
        if which == 0:
            target = draw.choice(self.guarded if self.is_calm else TARGETS)
        elif which == 1:
            host = draw.choice(HOSTS)
        elif which == 2:
            method = draw.choice([b"GET", b"PUT"] if self.is_calm else [*METHODS, *ODD_METHODS])
        elif which == 3:
            fields = [*fields, draw.choice([*PLAIN, *ODD])]
        elif which == 4:
            fields = [*fields, draw.choice(self.who)]
        elif fields:
            fields = list(fields)
            fields.pop(draw.randrange(len(fields)))
        return self.sent(method, target, host, fields)

    def events(self) -> Iterator[tuple]:
        """Yield what happens between two rounds."""
        draw = self.draw
        if self.ahead and draw.random() < 0.6:
            # the clock was wrong for a moment
            yield "time", -self.ahead
            self.ahead = 0
        for _ in range(draw.choice([1, 1, 2, 3])):
            name = draw.choice(EVENTS)
            if name == "time":
                step = draw.choice([1, 4, 15, 15, 15, 25, 40, 300, -5, -14, -20, -40])
                self.ahead = max(0, step - 1)
                yield name, step
                if draw.random() < 0.7:
                    yield ("fresh",)
            elif name == "keys":
                yield name, draw.choice(["corporate", "other"]), draw.choice(list(KEY_SETS))
            elif name == "revoke":
                yield (
                    name,
                    *draw.choice(self.revoked),
                    draw.randint(-60, 60),
                    draw.choice([-10, 3, 10, 10, 30, 500]),
                    draw.choice(POSITIONS),
                )
            elif name == "reload":
                yield name, draw.choice([0, 0, 0, *range(CONFIGURATIONS)])
            elif name == "renew":
                yield name, draw.choice([["admins"], []]), draw.choice([20, 500])
            else:
                yield (name,)

    def steps(self, rounds: int) -> Iterator[tuple]:
        """Yield requests, and what happens between them."""
        draw = self.draw
        yield "reload", draw.choice([0, 0, 0, *range(CONFIGURATIONS)])
        for _ in range(rounds):
            for question in self.asked:
                for _ in range(draw.choice([1, 1, 2, 3])):
                    yield ("ask", *question[0])
                if draw.random() < 0.3:
                    yield ("ask", *self.altered(question)[0])
            if not self.is_calm and draw.random() < 0.3:
                self.asked[draw.randrange(len(self.asked))] = self.altered(draw.choice(self.asked))
            yield from self.events()


async def converse(seed: int, rounds: int, among: slice | None = None) -> None:
    """Let both sides hear a conversation."""
    talk, conversation = Talk(seed, among), Conversation()
    for name, *more in talk.steps(rounds):
        if name == "ask":
            await conversation.ask(*more, talk.draw.choice(RESPONSES))
        else:
            conversation.happen(name, *more)


@settings(max_examples=250)
@given(st.integers(0, 2**32), st.sampled_from(KEEPING))
def test_what_is_remembered_changes_no_byte(seed: int, how: str):
    """R44, R53, R57 [10.hold.1]: answers, framing, upstream bytes, records are those of no memory."""
    with keeping(how):
        asyncio.run(converse(seed, 10))


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(KEEPING))
def test_what_is_remembered_of_machines_changes_no_byte(seed: int, how: str):
    """R44 [11.6, 11.8]: the same of API keys and opaque tokens, which are asked about now and then."""
    with keeping(how):
        asyncio.run(converse(seed, 10, MACHINES))


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(KEEPING))
def test_what_is_remembered_of_bound_tokens_changes_no_byte(seed: int, how: str):
    """R44 [11.7, 11.11]: the same of tokens that need a proof, and of those that name a resource."""
    with keeping(how):
        asyncio.run(converse(seed, 10, BOUND))


def told(side: Side, peer: str, tls: bool, data: bytes) -> Any:
    """Return what a side decides of a head, as what compares by value."""
    knowledge = side.pipeline.knowledge
    try:
        request, framing = read_request_head(data, knowledge.runtime.rules.request_lines, peer=peer, tls=tls)
    except Fault as fault:
        return fault.reason, fault.detail
    answer = decide(request, knowledge, side.state.now, "request-1")
    framed = [getattr(framing, name) for name in FRAMING]
    if not isinstance(answer, Forward):
        names = getattr(answer, "__slots__", ())
        return framed, type(answer), [plain(getattr(answer, name)) for name in names]
    route, live = answer.route, answer.live
    lived = None if live is None else (live.session, live.cookies, live.background, live.is_renewed)
    return framed, answer.target, answer.lines, answer.reason, answer.identity, route.name, lived


def plain(value: Any) -> Any:
    """Return what an answer names, whichever configuration it came of."""
    return getattr(value, "name", value) if type(value).__name__ in ("Route", "RateLimit") else value


@pytest.mark.parametrize("how", KEEPING)
@pytest.mark.parametrize("part", range(10))
def test_what_is_remembered_changes_no_decision(part: int, how: str):
    """R44, R53, R56 [10.hold.1]: decisions alone, many thousands of them, over longer conversations."""
    with keeping(how):
        for seed in range(20):
            talk, conversation = Talk(1000 * part + seed), Conversation()
            for name, *more in talk.steps(12):
                if name != "ask":
                    conversation.happen(name, *more)
                    continue
                _, peer, tls, data = more
                head = data[: data.index(b"\r\n\r\n") + 4]
                warm = told(conversation.warm, peer, tls, head)
                with forgetful():
                    assert warm == told(conversation.cold, peer, tls, head)
