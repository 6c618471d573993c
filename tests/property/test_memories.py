"""Whatever was remembered, the answer is the one that a process with no memory at all would give.

Heads that are mutated from each other, from several clients, through two configurations that share the data
plane's memory, while keys rotate, entries are written to the denylist, time passes and settings are reloaded.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields as members
from dataclasses import is_dataclass
from functools import cache
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import session as codec
from gateway.core.compiled import Compiled, compile_settings
from gateway.core.context import Knowledge, Memory
from gateway.core.cookies import Site
from gateway.core.denylist import Denylist
from gateway.core.model import CookieChange, DenyEntry, Fault, Session
from gateway.core.routes import Route
from gateway.core.sketch import draw
from gateway.http import fields, head
from gateway.http.memo import HeadMemo
from gateway.pipeline import Pipeline, Ways
from tests.support import pure
from tests.support.jose import access_claims, jwk, key_set, sign
from tests.support.pure import NOW, PREFIX

OTHER_ISSUER = "https://other.example.com"
ROUTES = (
    {"path": "/public/", "access": "public"},
    {"path": "/optional/", "access": "optional"},
    {"path": "/admin/", "require": {"groups": ["admins"]}},
    {"path": "/api/", "unauthenticated": "reject", "require": {"scopes": ["api"]}, "when_stale": "allow"},
    {"path": "/old/", "require": {"max_age": "5m"}, "when_stale": "allow"},
    {"path": "/"},
)
PROVIDERS = {
    "corporate": {"issuer": pure.ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]},
    "other": {"issuer": OTHER_ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]},
}
KEYS = {"both": ("main", "second"), "first": ("main",), "second": ("second",)}
METHODS = [b"GET", b"GET", b"POST", b"OPTIONS", b"CONNECT"]
TARGETS = [
    b"/",
    b"/public/x",
    b"/optional/x?y=1",
    b"/api/x",
    b"/admin/x",
    b"/old/x",
    b"/public/../api/x",
    b"/public/%2e%2e/x",
    b"http://app.example.com/api/x",
    b"http://evil.example.com/api/x",
    b"*",
    b"/a b",
]
HOSTS = [b"app.example.com", b"app.example.com", b"app.example.com:443", b"evil.example.com"]
PEERS = ["192.0.2.1", "192.0.2.2", "10.0.0.1"]
PLAIN = [
    b"X-Forwarded-User: root",
    b"X_Forwarded_User: root",
    b"X-Forwarded-Host: evil.example.com",
    b"X-Forwarded-For: 198.51.100.7",
    b"Connection: X-Forwarded-User, x-one",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Cookie: theirs=1",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Accept: text/html",
    b"Sec-Fetch-Mode: navigate",
    b"Sec-Fetch-Mode: cors",
    b"X-Requested-With: x",
    b"X-One: 1",
    b"X-One:2",
    b"X-One: \x80",
    b"X-Two: a: b",
    b"X-Who: root",
    b"Upgrade: websocket",
    b"Authorization: Basic eA==",
    b" folded",
    b"No colon",
    b"X-One : 1",
    b"Host: app.example.com",
]


@cache
def compiled(which: int) -> Compiled:
    """Return one of two configurations; the second trusts another provider's tokens no more."""
    changes: dict[str, Any] = {"providers": PROVIDERS, "trusted_proxies": ["10.0.0.0/8"]}
    if which:
        changes["providers"] = {"corporate": {**PROVIDERS["corporate"], "audiences": ["b"]}}
        changes["identity_headers"] = {"X-Who": "sub"}
    return compile_settings(pure.settings(*ROUTES, **changes))


@cache
def keys(name: str) -> Any:
    """Return one of the key sets of a provider."""
    return key_set(*(jwk(name=each) for each in KEYS[name]), now=NOW, stale_after=NOW + 400)


@cache
def credentials() -> list[bytes]:
    """Return the lines that say who is calling."""
    lines = []
    for issuer, name, life in (
        (pure.ISSUER, "main", 20),
        (pure.ISSUER, "main", 900),
        (pure.ISSUER, "second", 900),
        (OTHER_ISSUER, "main", 900),
    ):
        claims = access_claims(iss=issuer, aud="a", exp=NOW + life, jti=f"{name}{life}", auth_time=NOW - 250)
        lines.append(b"Authorization: Bearer " + sign(claims, name=name).encode())
    lines += [session_line(subject, life) for subject, life in product(("alice", "bob"), (30, 500))]
    return lines


def session_line(subject: str, life: int) -> bytes:
    """Return the Cookie line of somebody whose access token lives so many seconds."""
    session = Session(
        session_id=f"{subject}{life:03d}",
        provider="corporate",
        issuer=pure.ISSUER,
        subject=subject,
        sid=None,
        claims={"groups": ["admins"] if subject == "alice" else [], "auth_time": NOW - 250},
        scopes=frozenset({"api"}),
        login_at=NOW - 10,
        ends_at=NOW + 2 * life,
        seen_at=NOW - 10,
        renewed_at=NOW - 10,
        access_expires_at=NOW + life,
    )
    payload = codec.encode_session(session)
    sealed = compiled(0).ring.seal("session https://app.example.com", payload, bytes(12))
    return f"Cookie: {PREFIX}session={sealed}".encode()


@contextmanager
def forgetful() -> Iterator[None]:
    """Read heads without anything that was learned from others."""
    kept = head.known_heads, head._shapes, fields.lines, fields._kinds
    head.known_heads, head._shapes, fields.lines, fields._kinds = HeadMemo(), {}, HeadMemo(), {}
    try:
        yield
    finally:
        head.known_heads, head._shapes, fields.lines, fields._kinds = kept


class Told(Pipeline):
    """A pipeline that tells what it would do."""

    def _forward(self, passage, plan) -> None:
        start = re.sub(rb"[0-9a-f]{20}\Z", b"", plan.start)
        self.told = ("forward", start, plan.forward.route.name, plan.about, plain(plan.forward.identity))

    def _answer(self, passage, answer) -> None:
        self.told = ("answer", plain(answer))

    def _fetch(self, passage, need):
        return need

    def _spawn(self, work) -> None:
        self.told = ("need", repr(work))

    def _broken(self, passage, error) -> None:
        raise error


class Asked:
    """An exchange as far as deciding needs one."""

    def __init__(self, request) -> None:
        self.request = request

    def on_finished(self, callback) -> None:
        """Nothing is finished here."""


def plain(value: Any) -> Any:
    """Return an answer as data that compares by value, whichever configuration object it came from."""
    if isinstance(value, Route):
        return value.name
    if isinstance(value, Site):
        return value.origin
    if isinstance(value, CookieChange):
        return (value.name, value.value is None, value.max_age, value.path)
    if is_dataclass(value):
        return [
            type(value).__name__,
            *(plain(getattr(value, each.name)) for each in members(value) if each.compare),
        ]
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


class Process:
    """Two gateways in one process, and what they know."""

    def __init__(self) -> None:
        self.now = NOW
        self.keys = {"corporate": keys("both"), "other": keys("first")}
        self.denylist = Denylist()
        self.denylist.synchronised_at = NOW
        self.pipelines = [self._pipeline(compiled(which), Memory()) for which in (0, 1)]

    def _pipeline(self, known: Compiled, memory: Memory) -> Told:
        knowledge = Knowledge(known, self.keys, self.denylist, memory, lambda _: None, lambda _: False)
        unused = {each.name: None for each in members(Ways) if each.init}
        return Told(knowledge, Ways(**unused | {"clock": lambda: self.now}))

    def reload(self, which: int, other: int) -> None:
        """Go on with a configuration, as ``Gateway.commit`` does."""
        self.pipelines[which].knowledge = self._pipeline(compiled(other), Memory()).knowledge

    def pass_to(self, now: float) -> None:
        """Set the clock, the denylist being in step."""
        self.now = self.denylist.synchronised_at = now

    def ask(self, pipeline: Told, data: bytes, peer: str, tls: bool) -> Any:
        """Return what is made of a head, down to the bytes that would go upstream."""
        try:
            found = head.read_request_head(data)
        except Fault as fault:
            return fault.source, fault.reason
        pipeline.told = None
        pipeline.handle(Asked(found.of(peer, tls=tls)))
        return framing_of(found), pipeline.told

    def check(self, which: int, data: bytes, peer: str, tls: bool) -> None:
        """Ask twice: with everything that was learned, and from nothing."""
        warm = self.pipelines[which]
        told = self.ask(warm, data, peer, tls)
        with forgetful():
            settings_again = warm.knowledge.compiled.settings
            cold = self.ask(self._pipeline(compile_settings(settings_again), Memory()), data, peer, tls)
        assert told == cold


def head_of(method: bytes, target: bytes, host: bytes, lines: list[bytes]) -> bytes:
    """Return a request head."""
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: " + host, *lines, b"", b""])


@st.composite
def questions(draw: st.DrawFn) -> list[tuple]:
    """Draw a head with its sender, and some that differ from it a little."""
    line = st.one_of(st.sampled_from(PLAIN), st.integers(0, 3).map(lambda n: b"X-One: %d" % n))
    who = st.lists(st.sampled_from(credentials()), min_size=1, max_size=2)
    method, target, host = b"GET", draw(st.sampled_from(TARGETS[:6])), HOSTS[0]
    lines = draw(who) + draw(st.lists(line, max_size=1))
    peer, tls, which = draw(st.sampled_from(PEERS)), draw(st.booleans()), draw(st.sampled_from([0, 0, 0, 1]))
    found = [(which, head_of(method, target, host, lines), peer, tls)]
    for change in draw(
        st.lists(st.sampled_from(["target", "line", "who", "host", "peer", "tls", "which"]), max_size=2)
    ):
        other = {
            "target": lambda: head_of(method, draw(st.sampled_from(TARGETS)), host, lines),
            "line": lambda: head_of(method, target, host, [*lines, draw(line)]),
            "who": lambda: head_of(method, target, host, draw(who) + lines[1:]),
            "host": lambda: head_of(method, target, draw(st.sampled_from(HOSTS)), lines),
        }.get(change, lambda: found[0][1])()
        found.append(
            (
                1 - which if change == "which" else which,
                other,
                draw(st.sampled_from(PEERS)) if change == "peer" else peer,
                not tls if change == "tls" else tls,
            )
        )
    return found


EVENTS = st.one_of(
    st.tuples(st.just("time"), st.sampled_from([1, 15, 40, 300, -20])),
    st.tuples(st.just("keys"), st.sampled_from(list(KEYS)), st.just("corporate")),
    st.tuples(st.just("revoke"), st.sampled_from(["sub", "session", "jti", "all"]), st.integers(-30, 30)),
    st.tuples(st.just("reload"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("expire")),
    st.tuples(st.just("fresh")),
)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple]:
    """Draw heads, each sent until it is remembered, and what happens before they come again."""
    asked = draw(questions())
    found: list[tuple] = [("ask", draw(st.sampled_from([1, 2, 3])), *question) for question in asked]
    for event in draw(st.lists(EVENTS, min_size=1, max_size=4)):
        found.append(event)
        found.extend(("ask", draw(st.integers(1, 3)), *question) for question in asked)
    return found


@settings(max_examples=200)
@given(steps())
def test_what_was_remembered_changes_no_answer(happening: list[tuple]):
    """R44, R53, R57: verdict, framing and the bytes for the upstream are those of a fresh process."""
    process = Process()
    for name, *more in happening:
        if name == "ask":
            times, which, data, peer, tls = more
            for _ in range(times):
                process.check(which, data, peer, tls)
        elif name == "time":
            process.now += more[0]
        elif name == "keys":
            process.keys[more[1]] = keys(more[0])
        elif name == "revoke":
            kind, before = more
            value = {"sub": "alice", "session": "alice500", "jti": "main900", "all": ""}[kind]
            issuer = "" if kind in ("session", "all") else pure.ISSUER
            process.denylist.add(DenyEntry(kind, issuer, value, NOW + before, process.now + 100))
        elif name == "reload":
            process.reload(*more)
        elif name == "expire":
            process.denylist.expire(process.now)
        else:
            process.pass_to(process.now)


ALIKE = st.tuples(
    st.sampled_from(METHODS),
    st.sampled_from(TARGETS),
    st.sampled_from(HOSTS),
    st.lists(
        st.one_of(
            st.sampled_from(PLAIN),
            st.tuples(st.sampled_from([b"X-One", b"X-Who", b"Content-Length", b"TE"]), st.integers(0, 9)).map(
                lambda pair: b"%b: %d" % pair
            ),
        ),
        max_size=3,
    ),
)


@settings(max_examples=400)
@given(st.lists(ALIKE, min_size=1, max_size=4), st.lists(st.integers(0, 3), min_size=4, max_size=12))
def test_heads_alike_are_read_as_if_they_were_not(heads: list[tuple], order: list[int]):
    """R53, R57: a head is read, and its fields are sorted, as by a process that has seen no other head."""
    for place, turn in enumerate(order):
        data = head_of(*heads[turn % len(heads)])
        rules = compiled(place % 2).rules
        told = read_and_sort(data, rules.request_names)
        with forgetful():
            again = compile_settings(compiled(place % 2).settings).rules
            assert told == read_and_sort(data, again.request_names)


def read_and_sort(data: bytes, names: Any) -> Any:
    """Return what framing and decision read of a head, or why it is refused."""
    try:
        found = head.read_request_head(data)
    except Fault as fault:
        return fault.source, fault.reason
    sketch = draw(found.of("192.0.2.1", tls=False), names)
    sorted_fields = {each.name: getattr(sketch, each.name) for each in members(sketch)}
    # lines that always pass may have been joined
    sorted_fields["kept"] = b"".join(sketch.kept)
    return framing_of(found), found.headers, sorted_fields


def framing_of(found: head.RequestHead) -> tuple:
    """Return what a head says of its message."""
    return (
        found.method,
        found.target,
        found.host,
        found.minor,
        found.length,
        found.keep_alive,
        found.expects_continue,
        found.upgrade,
    )


def bearer(jti: str) -> bytes:
    """Return the line of a bearer token of the corporate provider."""
    name, life = jti[:-3], int(jti[-3:])
    claims = access_claims(iss=pure.ISSUER, aud="a", exp=NOW + life, jti=jti, auth_time=NOW - 250)
    return b"Authorization: Bearer " + sign(claims, name=name).encode()


def cookie(session_id: str) -> bytes:
    """Return the line of a session cookie."""
    subject, life = session_id[:-3], int(session_id[-3:])
    return session_line(subject, life)


CHANGES = {
    "staleness": lambda process: setattr(process, "now", NOW + 100),
    "the keys": lambda process: process.keys.update(corporate=keys("second")),
    "a subject": lambda process: process.denylist.add(DenyEntry("sub", pure.ISSUER, "alice", NOW, NOW + 999)),
    "a session": lambda process: process.denylist.add(DenyEntry("session", "", "alice500", NOW, NOW + 999)),
    "settings": lambda process: process.reload(0, 1),
    "100 seconds": lambda process: process.pass_to(NOW + 100),
    "the clock, back": lambda process: process.pass_to(NOW - 60),
    "the keys' age": lambda process: process.pass_to(NOW + 401),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("path", [b"/", b"/api/x", b"/old/x", b"/optional/x", b"/public/x"])
@pytest.mark.parametrize(
    "lines",
    [
        [bearer("main050")],
        [bearer("main900")],
        [bearer("second900")],
        [cookie("alice500")],
        [cookie("alice030")],
        [bearer("main900"), cookie("bob030")],
        [bearer("main900"), cookie("alice500")],
        [],
    ],
    ids=["short bearer", "bearer", "other key", "session", "short session", "conflict", "both", "nobody"],
)
def test_what_changes_is_noticed(lines: list[bytes], path: bytes, change: str):
    """R44: a decision that was kept for its head is not used beyond what it rests on."""
    process = Process()
    question = (0, head_of(b"GET", path, HOSTS[0], lines), PEERS[0], False)
    for _ in range(3):
        process.check(*question)
    CHANGES[change](process)
    for _ in range(3):
        process.check(*question)
