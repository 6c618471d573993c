"""Whatever was remembered, the answer is the one that a process with no memory at all would give.

Heads that are mutated from each other, from several clients, through two configurations that share the data
plane's memory, while keys rotate, entries are written to the denylist, time passes and settings are reloaded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields as members
from dataclasses import is_dataclass, replace
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.decision.context import Knowledge, Memory
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.headers.loops import loop_names
from gateway.core.pattern import Pattern, compile_pattern
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.core.rules.rate_limit import Allowance
from gateway.core.rules.routes import Route
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.core.sessions import codec
from gateway.core.sessions import renewal as refresh
from gateway.core.sessions.model import Grant, RefreshOutcome, Renewed, Session, SessionOver
from gateway.core.sessions.seal import KeyRing
from gateway.core.sketch import draw
from gateway.http.downstream.connection import ClientConnection
from gateway.http.downstream.exchange import ClientExchange
from gateway.http.heads_seen import HeadsSeen
from gateway.http.memo import HeadMemo, by_key
from gateway.http.messages import fields
from gateway.http.messages import request_head as head
from gateway.http.ports import Limits
from gateway.http.server import Server
from gateway.pipeline import recall
from gateway.pipeline.pipeline import Pipeline, Ways
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
    {"path": "/api/plain/", "hosts": ["plain.example.com"], "access": "public"},
    {"path": "/part/", "require": {"methods": ["GET", "POST"]}, "strip_prefix": True},
    {"path": "/corp/", "provider": "corporate"},
    {"path": "/partner/", "access": "optional", "providers": ["other"]},
    {"path": "/raw/", "access": "optional", "raw_path": True},
    {"path": "/"},
)
MOST_STALENESS = 30.0
EMAIL = "50%b%%@example.com"
PROVIDERS = {
    "corporate": {"issuer": pure.ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]},
    "other": {"issuer": OTHER_ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]},
}
KEYS = {"both": ("main", "second"), "first": ("main",), "second": ("second",)}
METHODS = [b"GET", b"GET", b"POST", b"OPTIONS", b"CONNECT"]
TARGETS = [
    b"/",
    b"/public/x",
    b"/public/x?a|b{}^`\\",
    b"/optional/x?y=1",
    b"/api/x",
    b"/admin/x",
    b"/old/x",
    b"/part/x?y=1",
    b"/part/",
    b"/corp/x",
    b"/partner/x",
    b"/raw/x?%2f",
    b"/raw//x",
    b"/raw/x%2Fy;z/",
    b"/raw/%7ex",
    b"/raw/../api/x",
    b"/auth/userinfo",
    b"/auth/x",
    b"/api//x",
    b"/public/../api/x",
    b"/public/%2e%2e/x",
    b"http://app.example.com/api/x",
    b"http://evil.example.com/api/x",
    b"*",
    b"/a b",
]
HOSTS = [
    b"app.example.com",
    b"app.example.com",
    b"plain.example.com",
    b"app.example.com:443",
    b"evil.example.com",
]
PEERS = ["192.0.2.1", "192.0.2.2", "10.0.0.1"]
LOOP = loop_names(KeyRing((bytes(32),)))[0]
PLAIN = [
    b"X-Forwarded-User: root",
    b"X_Forwarded_User: root",
    b"X-Forwarded-Host: evil.example.com",
    b"X-Forwarded-For: 198.51.100.7",
    b"X-Forwarded-For: 198.51.100.8",
    b"X-Forwarded-For: nobody",
    b"X-HTTP-Method-Override: GET",
    b"X-HTTP-Method-Override: DELETE",
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
    b"X-Requested-With: XMLHttpRequest",
    b"Sec-Fetch-Site: same-origin",
    b"Sec-Fetch-Site: same-site",
    b"Sec-Fetch-Site: cross-site",
    b"Origin: https://app.example.com",
    b"Origin: https://evil.example.com",
    b"Sec-Purpose: prefetch",
    b"Referer: https://app.example.com/page",
    b"X-One: 1",
    b"X-One:2",
    b"X-One: \x80",
    b"X-Two: a: b",
    b"X-Who: root",
    b"Remote-User: alice",
    b"Remote-User: root",
    b"CDN-Loop: a.example",
    b"CDN-Loop: " + b", ".join([LOOP] * 4),
    b"Upgrade: websocket",
    b"Authorization: Basic eA==",
    b"Authorization: NTLM eA==",
    b"Proxy-Authorization: Basic eA==",
    b" folded",
    b"No colon",
    b"X-One : 1",
    b"Host: app.example.com",
]


NAMED: dict[str, dict[str, str]] = {
    "usual": {},
    "host": {"host": "X-Forwarded-Host", "port": "X-Forwarded-Port"},
    "forwarded": {"address": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
    "single": {"address": "X-Real-IP", "scheme": "none"},
}


@cache
def compiled(which: int, named: str = "usual") -> RuntimeConfig:
    """Return one of two configurations; the second trusts another provider's tokens no more."""
    changes: dict[str, Any] = {
        "providers": PROVIDERS,
        "trusted_proxies": ["10.0.0.0/8"],
        "forwarding": NAMED[named],
        "client_headers": {"keep": ["Remote-User"]},
        "public_url": ["https://app.example.com", "http://plain.example.com"],
        "allow_insecure_http": True,
        "prefix": "/auth/",
        "denylist": {"max_staleness": MOST_STALENESS},
        "session": {"claims_max_age": "250s"},
    }
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
        claims = access_claims(
            iss=issuer, aud="a", exp=NOW + life, jti=f"{name}{life}", auth_time=NOW - 250, email=EMAIL
        )
        lines.append(b"Authorization: Bearer " + sign(claims, name=name).encode())
    lines += [session_line(subject, life) for subject, life in product(("alice", "bob", "carol"), (30, 500))]
    return lines


def session_line(subject: str, life: int) -> bytes:
    """Return the Cookie line of somebody whose access token lives so many seconds."""
    session = Session(
        session_id=f"{subject}{life:03d}",
        provider="corporate",
        issuer=pure.ISSUER,
        subject=subject,
        sid=None,
        claims={"groups": [] if subject == "bob" else ["admins"], "auth_time": NOW - 250},
        scopes=frozenset({"api"}),
        login_at=NOW - 10,
        ends_at=NOW + 2 * life,
        seen_at=NOW - 10,
        renewed_at=NOW - 10,
        access_expires_at=NOW + life,
        position=("e", 5) if subject == "alice" else None,
    )
    payload = codec.encode_session(session)
    sealed = compiled(0).ring.seal("session https://app.example.com", payload, bytes(12))
    if subject != "carol":
        return f"Cookie: {PREFIX}session={sealed}".encode()
    payload = codec.encode_grant(Grant(session.session_id, 0, "refresh-0"))
    other = compiled(0).ring.seal("refresh https://app.example.com", payload, bytes(12))
    return f"Cookie: {PREFIX}session={sealed}; {PREFIX}refresh={other}".encode()


def rotation() -> str:
    """Return the name of the next rotation of carol's longer session."""
    return refresh.rotation_id(compiled(0).providers["corporate"], Grant("carol500", 0, "refresh-0"))


def renewed(groups: list[str], life: float) -> Renewed:
    """Return what a refresh makes of carol's longer session."""
    session = Session(
        session_id="carol500",
        provider="corporate",
        issuer=pure.ISSUER,
        subject="carol",
        sid=None,
        claims={"groups": [*groups]},
        scopes=frozenset({"api"}),
        login_at=NOW - 10,
        ends_at=NOW + 1000,
        seen_at=NOW,
        renewed_at=NOW,
        access_expires_at=NOW + life,
        generation=1,
    )
    return Renewed(session, Grant("carol500", 1, "refresh-1"))


@contextmanager
def forgetful() -> Iterator[None]:
    """Read heads without anything that was learned from others."""
    kept = fields.lines, fields._kinds
    fields.lines, fields._kinds = HeadMemo(by_key), {}
    try:
        yield
    finally:
        fields.lines, fields._kinds = kept


@contextmanager
def keeping_at_once(is_so: bool) -> Iterator[None]:
    """Keep what comes for the first time already, not what comes again."""
    usual = HeadMemo.comes_again
    if is_so:
        HeadMemo.comes_again = lambda *_: True
    try:
        yield
    finally:
        HeadMemo.comes_again = usual


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with nothing, and make a pattern of whatever comes."""
    monkeypatch.setattr(recall, "_OFTEN", 1)
    monkeypatch.setattr(recall, "_PAUSE", 0.0)
    monkeypatch.setattr(ClientExchange, "forward", forward)
    with forgetful():
        yield


class Told(Pipeline):
    """A pipeline that tells what it would do."""

    told: Any = None

    def handle(self, exchange) -> None:
        """Note what was read, and go on."""
        self.framing = framing_of(exchange.head, exchange.request.target)
        super().handle(exchange)
        # so that the next one may come on this connection
        exchange.respond(204, [])

    def malformed(self, fault, _peer):
        """Note why it is refused."""
        self.framing, self.told = None, (fault.source, fault.reason)
        return 400, [], b""

    def _answer(self, passage, answer) -> None:
        self.told = ("answer", plain(answer))

    def _fetch(self, passage, need):
        return need

    def _spawn(self, work) -> None:
        self.told = ("need", repr(work))

    def _broken(self, passage, error) -> None:
        raise error


def forward(exchange: ClientExchange, upstream: str, start: bytes, _last: bytes, max_body: Any) -> None:
    """Note what would go upstream, instead of sending it."""
    passage: Any = exchange.handling
    plan = passage.plan
    about = replace(plan.about, path=plan.path_of(exchange.request) or plan.about.path)
    told = (start, upstream, max_body, plan.forward.route.name, about, plain(plan.forward.identity))
    passage.pipeline.told = ("forward", *told)


class Transport:
    """A client's socket as far as reading one head needs it."""

    def __init__(self, peer: str, *, tls: bool) -> None:
        self._extra = {"peername": (peer, 1), "sslcontext": tls or None}
        self._closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the peer, and whether it speaks TLS."""
        return self._extra.get(name, default)

    def is_closing(self) -> bool:
        """Tell whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Close it."""
        self._closed = True

    def get_write_buffer_size(self) -> int:
        """Everything is sent at once."""
        return 0

    def __getattr__(self, name: str) -> Any:
        """Take whatever else is asked of it."""
        return lambda *_, **__: None


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

    def __init__(self, named: str = "usual") -> None:
        self.now = NOW
        self.keys = {"corporate": keys("both"), "other": keys("first")}
        self.news: dict[str, RefreshOutcome] = {}
        self.superseded: set[str] = set()
        self.denylist = Denylist()
        self.denylist.synchronised_at = NOW
        self.pipelines = [self._pipeline(compiled(which, named), Memory()) for which in (0, 1)]
        self.patterns: tuple[Pattern, ...] = ()
        self.connections: dict[tuple, ClientConnection] = {}

    def _pipeline(self, known: RuntimeConfig, memory: Memory, of: "Process | None" = None) -> Told:
        state = of or self
        knowledge = Knowledge(
            known,
            state.keys,
            state.denylist,
            memory,
            state.news.get,
            lambda _: False,
            superseded=lambda name: name in state.superseded,
        )
        unused = {each.name: None for each in members(Ways) if each.init}
        unused["recorder"] = SimpleNamespace(outcome=lambda _: None)
        unused["background"] = lambda _: None
        return Told(knowledge, Ways(**unused | {"clock": lambda: state.now}))

    def reload(self, which: int, other: int) -> None:
        """Go on with a configuration, as ``Gateway.commit`` does."""
        again = compile_settings(compiled(other).settings)
        self.pipelines[which].knowledge = self._pipeline(again, Memory()).knowledge

    def pass_to(self, now: float) -> None:
        """Set the clock, the denylist being in step."""
        self.now = self.denylist.synchronised_at = now

    def set_back(self, by: float, then: float) -> None:
        """Set the clock back, which moves the replica's age with it; then let time pass without news."""
        self.denylist.synchronised_at = NOW - by
        self.now = NOW - by + then

    def reach(self, pipeline: Told, peer: str, tls: bool) -> ClientConnection:
        """Return the connection of a client; a new one where the last has ended."""
        known = self.connections.get((id(pipeline), peer, tls))
        if known is None or not known.idle or known._transport.is_closing():
            server = Server(pipeline, pipeline.knowledge.compiled.settings.upstreams, Limits())
            known = self.connections[id(pipeline), peer, tls] = ClientConnection(server)
            known.connection_made(Transport(peer, tls=tls))
        return known

    def ask(self, pipeline: Told, connection: ClientConnection, data: bytes) -> Any:
        """Return what is made of a head, down to the bytes that would go upstream."""
        pipeline.told = pipeline.framing = None
        connection.data_received(data)
        return pipeline.framing, pipeline.told

    def check(self, which: int, data: bytes, peer: str, tls: bool) -> None:
        """Ask twice: with everything that was learned, and from nothing."""
        warm = self.pipelines[which]
        connection = self.reach(warm, peer, tls)
        # what one client's heads have shown is tried on every other's
        seen = connection._seen = connection._seen or HeadsSeen()
        seen.patterns = self.patterns
        told = self.ask(warm, connection, data)
        self.patterns = seen.patterns
        with forgetful():
            settings_again = warm.knowledge.compiled.settings
            fresh = Process()
            cold = fresh._pipeline(compile_settings(settings_again), Memory(), of=self)
            assert told == self.ask(cold, fresh.reach(cold, peer, tls), data)


def head_of(
    method: bytes, target: bytes, host: bytes, lines: list[bytes], version: bytes = b"HTTP/1.1"
) -> bytes:
    """Return a request head."""
    return b"\r\n".join([b" ".join((method, target, version)), b"Host: " + host, *lines, b"", b""])


@st.composite
def questions(draw: st.DrawFn) -> list[tuple]:
    """Draw a head with its sender, and some that differ from it a little."""
    line = st.one_of(st.sampled_from(PLAIN), st.integers(0, 3).map(lambda n: b"X-One: %d" % n))
    who = st.lists(st.sampled_from(credentials()), min_size=1, max_size=2)
    method, target, host = b"GET", draw(st.sampled_from(TARGETS[:15])), draw(st.sampled_from(HOSTS[1:3]))
    lines = draw(who) + draw(st.lists(line, max_size=1))
    peer, tls, which = draw(st.sampled_from(PEERS)), draw(st.booleans()), draw(st.sampled_from([0, 0, 0, 1]))
    found = [(which, head_of(method, target, host, lines), peer, tls)]
    for change in draw(
        st.lists(
            st.sampled_from(["target", "line", "value", "who", "version", "host", "peer", "tls", "which"]),
            max_size=2,
        )
    ):
        other = {
            "target": lambda: head_of(method, draw(st.sampled_from(TARGETS)), host, lines),
            "line": lambda: head_of(method, target, host, [*lines, draw(line)]),
            "value": lambda: head_of(method, target, host, [*lines[:-1], draw(line)]),
            "who": lambda: head_of(method, target, host, draw(who) + lines[1:]),
            "host": lambda: head_of(method, target, draw(st.sampled_from(HOSTS)), lines),
            "version": lambda: head_of(method, target, host, lines, b"HTTP/1.0"),
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
    st.tuples(
        st.just("revoke"),
        st.sampled_from(["sub", "session", "jti", "all"]),
        st.integers(-30, 30),
        st.sampled_from([None, AS_WRITTEN, ("e", 5), ("e", 6), ("f", 1)]),
    ),
    st.tuples(st.just("reload"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("renew"), st.sampled_from([["admins"], []]), st.sampled_from([20, 500])),
    st.tuples(st.just("supersede")),
    st.tuples(st.just("forget")),
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
@given(steps(), st.booleans())
def test_what_was_remembered_changes_no_answer(happening: list[tuple], at_once: bool):
    """R44, R53, R57: verdict, framing and the bytes for the upstream are those of a fresh process."""
    with keeping_at_once(at_once):
        go_through(happening)


def go_through(happening: list[tuple]) -> None:
    """Ask, and let happen what happens in between."""
    process = Process()
    for name, *more in happening:
        if name == "ask":
            times, which, data, peer, tls = more
            for _ in range(times):
                process.check(which, data, peer, tls)
        else:
            happen(process, name, more)


def happen(process: Process, name: str, more: list[Any]) -> None:
    """Let something happen to what a process knows."""
    if name == "time":
        process.now += more[0]
    elif name == "keys":
        process.keys[more[1]] = keys(more[0])
    elif name == "revoke":
        kind, before, position = more
        value = {"sub": "alice", "session": "alice500", "jti": "main900", "all": ""}[kind]
        issuer = "" if kind in ("session", "all") else pure.ISSUER
        process.denylist.add(DenyEntry(kind, issuer, value, NOW + before, process.now + 100, position))
    elif name == "reload":
        process.reload(*more)
    elif name == "renew":
        process.news[rotation()] = renewed(*more)
    elif name == "supersede":
        process.superseded.add(rotation())
    elif name == "forget":
        process.news.clear()
        process.superseded.clear()
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


NOISE = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [
            b"",
            b"7",
            b"0",
            b"00",
            b"-1",
            b"1" * 19,
            b" ",
            b"a b",
            b" a",
            b"a ",
            b"\t",
            b"a\r\nHost: evil",
            b"a\nX: y",
            b"\x00",
            b"\xff",
            b"a: b",
            b"negotiate eA==",
            b"NTLM",
        ]
    ),
)


@settings(max_examples=800)
@given(
    st.tuples(
        st.sampled_from(METHODS),
        st.sampled_from(TARGETS),
        st.sampled_from(HOSTS[:3]),
        st.lists(st.sampled_from(PLAIN), max_size=4),
    ),
    st.lists(st.tuples(st.integers(0, 5), NOISE), max_size=1),
    st.sampled_from(
        [None, None, *TARGETS, b"/%2e", b"/\xff", b"/a b", b"/a?b#c", b"/;x", b'/?"', b"/\r\n", b"/?{"]
    ),
)
def test_r57_what_a_pattern_recognises_is_what_it_says(known: tuple, changes: list, path: bytes | None):
    """R53, R57, R77: whatever bytes match, a process that knows no pattern reads the same of them."""
    rules = compiled(0).rules
    pattern = pattern_of(head_of(*known), rules.request_names)
    if pattern is None:
        return
    method, target, host, lines = known
    changed = list(lines)
    for place, value in changes:
        if changed:
            index = place % len(changed)
            changed[index] = changed[index].partition(b": ")[0] + b": " + value
    data = head_of(method, path or target, host, changed)
    match = pattern.match(data)
    if match is None or match.end() < len(data):
        return
    found = head.read_match(pattern, match, "192.0.2.1", tls=False)
    with forgetful():
        again = head.read_request_head(data)
        request = again.of("192.0.2.1", tls=False)
    assert framing_of(head.framing_of(pattern, match), found.target) == framing_of(again, again.target)
    assert (found.method, found.host, found.headers) == (again.method, again.host, again.headers)
    assert sorted_by(draw(found, rules.request_names)) == sorted_by(draw(request, rules.request_names))


@pytest.mark.parametrize("name", [b"Authorization", b"authorization", b"Proxy-Authorization"])
@pytest.mark.parametrize("scheme", [b"NTLM", b"ntlm", b"Negotiate", b"NEGOTIATE", b"Nego2", b"Kerberos"])
def test_r77_no_pattern_takes_what_authenticates_a_connection(name: bytes, scheme: bytes):
    """R77 [3.1]: a head that differs from those of a pattern in its scheme alone is a case of its own."""
    rules = compiled(0).rules
    usual = head_of(b"GET", b"/public/x", HOSTS[0], [name + b": Basic eA==", b"X-One: 1"])
    pattern = pattern_of(usual, rules.request_names)
    assert pattern is not None
    assert pattern.match(usual) is not None
    for value in (scheme, scheme + b" eA=="):
        data = head_of(b"GET", b"/public/x", HOSTS[0], [name + b": " + value, b"X-One: 1"])
        assert head.read_request_head(data).binds
        assert pattern.match(data) is None
        # its own pattern, if it has one, has its very value
        own = pattern_of(data, rules.request_names)
        assert own is None or own.match(usual) is None


def pattern_of(data: bytes, names: Any) -> Pattern | None:
    """Return the pattern of a head, with the data plane's part; None where it has none."""
    try:
        found = head.read_request_head(data)
    except Fault:
        return None
    pattern = compile_pattern(found.of("192.0.2.1", tls=False), names)
    if pattern is not None:
        head.attach(pattern, found)
        assert found.upgrade is None
        assert not found.expects_continue
    return pattern


def sorted_by(sketch: Any) -> dict[str, Any]:
    """Return a sketch as data; lines that always pass may have been joined."""
    found = {each.name: getattr(sketch, each.name) for each in members(sketch)}
    return found | {"kept": b"".join(sketch.kept)}


def framing_of(found: head.Framing, target: bytes) -> tuple:
    """Return what a head says of its message, and its target."""
    return (target, *(getattr(found, name) for name in head.Framing.__slots__))


def bearer(jti: str) -> bytes:
    """Return the line of a bearer token of the corporate provider."""
    name, life = jti[:-3], int(jti[-3:])
    claims = access_claims(
        iss=pure.ISSUER, aud="a", exp=NOW + life, jti=jti, auth_time=NOW - 250, email=EMAIL
    )
    return b"Authorization: Bearer " + sign(claims, name=name).encode()


def cookie(session_id: str) -> bytes:
    """Return the line of a session cookie."""
    subject, life = session_id[:-3], int(session_id[-3:])
    return session_line(subject, life)


CHANGES = {
    "staleness": lambda process: setattr(process, "now", NOW + 100),
    "the keys": lambda process: process.keys.update(corporate=keys("second")),
    "a subject": lambda process: process.denylist.add(DenyEntry("sub", pure.ISSUER, "alice", NOW, NOW + 999)),
    "a subject, by position": lambda process: process.denylist.add(
        DenyEntry("sub", pure.ISSUER, "alice", NOW - 3600, NOW + 999, ("e", 6))
    ),
    "a subject, before": lambda process: process.denylist.add(
        DenyEntry("sub", pure.ISSUER, "alice", NOW - 3600, NOW + 999, ("e", 5))
    ),
    "a subject, unwritten": lambda process: process.denylist.add(
        DenyEntry("sub", pure.ISSUER, "alice", NOW - 3600, NOW + 999, AS_WRITTEN)
    ),
    "a session": lambda process: process.denylist.add(DenyEntry("session", "", "alice500", NOW, NOW + 999)),
    "a refresh": lambda process: process.news.update({rotation(): renewed([], 500)}),
    "a refresh elsewhere": lambda process: process.superseded.add(rotation()),
    "an end": lambda process: process.news.update({rotation(): SessionOver(Reason.SESSION_ENDED)}),
    "the claims' age": lambda process: process.pass_to(NOW + 241),
    "settings": lambda process: process.reload(0, 1),
    "100 seconds": lambda process: process.pass_to(NOW + 100),
    "the clock, back, and time": lambda process: process.set_back(by=20.0, then=MOST_STALENESS + 1.0),
    "the clock, back": lambda process: process.pass_to(NOW - 60),
    "the keys' age": lambda process: process.pass_to(NOW + 401),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "path", [b"/", b"/api/x", b"/old/x", b"/optional/x", b"/public/x", b"/corp/x", b"/partner/x"]
)
@pytest.mark.parametrize(
    "lines",
    [
        [bearer("main050")],
        [bearer("main900")],
        [bearer("second900")],
        [cookie("alice500")],
        [cookie("alice030")],
        [cookie("carol500")],
        [bearer("main900"), cookie("bob030")],
        [bearer("main900"), cookie("alice500")],
        [],
    ],
    ids=[
        "short bearer",
        "bearer",
        "other key",
        "session",
        "short session",
        "with a refresh",
        "conflict",
        "both",
        "nobody",
    ],
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


def asked(path: bytes, *lines: bytes, host: bytes = HOSTS[0], method: bytes = b"GET", **more: bytes) -> bytes:
    """Return a head with a bearer token and these lines."""
    return head_of(method, path, host, [bearer("main900"), *lines], **more)


TRICKY = {
    "another route": ([asked(b"/x%d" % n) for n in range(4)], asked(b"/old/x")),
    "a route that matches a part": ([asked(b"/part/%d" % n) for n in range(4)], asked(b"/part")),
    "our own endpoint": ([asked(b"/%d" % n) for n in range(4)], asked(b"/auth/logout")),
    "an unknown endpoint": ([asked(b"/%d" % n) for n in range(4)], asked(b"/auth/x")),
    "two slashes": ([asked(b"/a/%d" % n) for n in range(4)], asked(b"/a//x")),
    "a dot segment": ([asked(b"/a/%d" % n) for n in range(4)], asked(b"/a/../api/x")),
    "an escape": ([asked(b"/a/%d" % n) for n in range(4)], asked(b"/%61pi/x")),
    "another case": ([asked(b"/a/%d" % n) for n in range(4)], asked(b"/API/x")),
    "another host": (
        [asked(b"/%d" % n, host=HOSTS[2]) for n in range(4)],
        asked(b"/x", host=b"app.example.com"),
    ),
    "another method": (
        [asked(b"/part/%d" % n, b"X-HTTP-Method-Override: GET") for n in range(4)],
        asked(b"/part/x", b"X-HTTP-Method-Override: DELETE"),
    ),
    "another method, disguised": (
        [asked(b"/part/%d" % n, b"X_HTTP.Method-Override: GET") for n in range(4)],
        asked(b"/part/x", b"X_HTTP.Method-Override: DELETE"),
    ),
    "a field named by Connection": (
        [asked(b"/%d" % n, b"Connection: x-one", b"X-One: 1") for n in range(4)],
        asked(b"/x", b"Connection: x-one", b"X-One: 2"),
    ),
    "space before a value": (
        [asked(b"/%d" % n, b"X-One: 1") for n in range(4)],
        asked(b"/x", b"X-One:  2"),
    ),
    "space after a value": (
        [asked(b"/%d" % n, b"X-One: 1") for n in range(4)],
        asked(b"/x", b"X-One: 2\t"),
    ),
    "another length": (
        [asked(b"/%d" % n, b"Content-Length: 5", method=b"POST") for n in range(4)],
        asked(b"/x", b"Content-Length: 0", method=b"POST"),
    ),
    "another version": (
        [asked(b"/%d" % n, version=b"HTTP/1.0") for n in range(4)],
        asked(b"/x"),
    ),
    "a body like fields": (
        [
            asked(b"/%d" % n, b"Content-Length: 20", method=b"POST") + b"X-Forwarded-For: 1\r\n"
            for n in range(4)
        ],
        asked(b"/x", b"Content-Length: 5", method=b"POST") + b"\x00\r\n: ",
    ),
    "no length": (
        [asked(b"/%d" % n, b"Content-Length: 5", method=b"POST") for n in range(4)],
        asked(b"/x", b"Content-Length: +5", method=b"POST"),
    ),
    "a coding": (
        [asked(b"/%d" % n, b"Transfer-Encoding: chunked", method=b"POST") for n in range(4)],
        asked(b"/x", b"Transfer-Encoding: gzip", method=b"POST"),
    ),
    "a wait": (
        [asked(b"/%d" % n, b"Content-Length: 5", b"Expect: 100-continue") for n in range(4)],
        asked(b"/x", b"Content-Length: 6", b"Expect: 100-continue"),
    ),
    "a preflight": (
        [asked(b"/public/%d" % n, b"Origin: https://a.example", method=b"OPTIONS") for n in range(4)],
        asked(b"/x", b"Origin: https://b.example", method=b"OPTIONS"),
    ),
    "another's cookie": (
        [asked(b"/%d" % n, cookie("alice500")) for n in range(4)],
        asked(b"/x", cookie("bob500")),
    ),
    "another's session": (
        [head_of(b"GET", b"/%d" % n, HOSTS[0], [cookie("alice500")]) for n in range(4)],
        head_of(b"GET", b"/admin/x", HOSTS[0], [cookie("bob500")]),
    ),
    "another's token": (
        [head_of(b"GET", b"/%d" % n, HOSTS[0], [bearer("main900")]) for n in range(4)],
        head_of(b"GET", b"/x", HOSTS[0], [b"Authorization: Bearer e30.e30.AA"]),
    ),
    "no field of ours": (
        [asked(b"/%d" % n, b"X-One: 1") for n in range(4)],
        asked(b"/x", b"X-Forwarded-User: root"),
    ),
    "a name that a proxy vouches for": (
        [asked(b"/%d" % n, b"X-Forwarded-For: 1.1.1.1", b"Remote-User: alice") for n in range(4)],
        asked(b"/x", b"X-Forwarded-For: 1.1.1.1", b"Remote-User: root"),
    ),
    "a pass too many": (
        [asked(b"/%d" % n, b"CDN-Loop: " + b", ".join([LOOP] * 3)) for n in range(4)],
        asked(b"/x", b"CDN-Loop: " + b", ".join([LOOP] * 4)),
    ),
    "a name that comes twice": (
        [asked(b"/%d" % n, b"Remote-User: alice", b"remote_user: root") for n in range(4)],
        asked(b"/x", b"Remote-User: alice", b"remote-user: root"),
    ),
    "a header of another's": (
        [asked(b"/%d" % n, b"X-One: 1", b"X-Two: 2") for n in range(4)],
        asked(b"/x", b"X-Two: 1", b"X-One: 2"),
    ),
}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("case", TRICKY)
def test_r56_what_only_looks_alike(case: str, peer: str, at_once: bool, tls: bool):
    """R53, R56, R57: a head that is nearly of a known pattern is decided for what it is."""
    known, head_to_judge = TRICKY[case]
    process = Process()
    with keeping_at_once(at_once):
        for data in known:
            process.check(0, data, peer, tls)
        process.check(0, head_to_judge, peer, tls)
        # and one that came over another kind of connection
        process.check(0, known[-1], peer, not tls)
        process.check(0, head_to_judge, PEERS[0], tls)


@pytest.mark.parametrize("first", [b"nobody", b"198.51.100.7", b"127.0.0.1"])
def test_r53_a_trusted_proxy_tells_of_many_clients(first: bytes):
    """R53: what its fields say is read each time, whatever they said before."""
    process = Process()
    for number, client in enumerate([first] * 4 + [b"198.51.100.8", b"nobody", b"198.51.100.9, 10.0.0.2"]):
        data = asked(b"/%d" % number, b"X-Forwarded-For: " + client)
        process.check(0, data, "10.0.0.1", False)


TOLD = {
    b"X-Forwarded-For": [b"198.51.100.7", b"198.51.100.8", b"nobody", b"198.51.100.9, 10.0.0.2"],
    b"x-forwarded-proto": [b"http", b"https", b"ftp"],
    b"X-Forwarded-Host": [b"app.example.com", b"plain.example.com", b"evil.example.com", b"a b"],
    b"X-Forwarded-Port": [b"80", b"443", b"8443", b"x"],
    b"X-Real-IP": [b"198.51.100.7", b"198.51.100.8", b"198.51.100.7, 10.0.0.2", b"10.0.0.2"],
    b"Forwarded": [
        b"for=198.51.100.7;host=plain.example.com;proto=http",
        b"for=198.51.100.8",
        b'for="[2001:db8::1]";proto=https',
        b"garbage",
    ],
}


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(list(TOLD)), min_size=1, max_size=3),
    st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=4),
    st.lists(st.integers(0, 3), min_size=6, max_size=10),
    st.sampled_from(PEERS),
    st.sampled_from(HOSTS[:3]),
    st.sampled_from([b"/api/%d", b"/x%d", b"/part/%d", b"/api/plain/%d"]),
    st.booleans(),
    st.sampled_from(list(NAMED)),
    st.booleans(),
)
def test_r53_r64_what_proxies_tell(
    names: list[bytes],
    values: list[list[int]],
    turns: list[int],
    peer: str,
    host: bytes,
    path: bytes,
    at_once: bool,
    named: str,
    tls: bool,
):
    """R53, R64: clients that take turns on a proxy's connection are each told for what the proxy tells."""
    process = Process(named)
    with keeping_at_once(at_once):
        for number, turn in enumerate(turns):
            chosen = values[turn % len(values)]
            lines = [
                name + b": " + TOLD[name][place % len(TOLD[name])]
                for name, place in zip(names, chosen, strict=False)
            ]
            process.check(0, asked(path % number, *lines, host=host), peer, tls)


def test_r53_a_host_that_a_proxy_tells_of_has_its_own_routes():
    """R53, R64: which route it is depends on the name that the client called, not on what the proxy calls."""
    process = Process("host")
    turns = [(b"/api/%d" % number, HOSTS[2]) for number in range(8)]
    turns.append((b"/api/plain", HOSTS[2]))
    for number in range(48):
        path = b"/api/plain/%d" if number % 3 else b"/api/%d"
        turns.append((path % number, HOSTS[2] if number % 2 else HOSTS[0]))
    for path, host in turns:
        lines = [bearer("main900"), b"X-Forwarded-Host: " + host]
        process.check(0, head_of(b"GET", path, HOSTS[0], lines), "10.0.0.1", False)


def count_judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one for each request that is decided anew."""
    judged: list[int] = []
    usual = Pipeline._judge
    monkeypatch.setattr(
        Pipeline, "_judge", lambda self, passage, now: judged.append(1) or usual(self, passage, now)
    )
    return judged


def test_what_proxies_tell_is_decided_once(monkeypatch: pytest.MonkeyPatch):
    """A few clients behind a trusted proxy, over one connection: their requests are not each decided anew."""
    process = Process("host")
    pipeline = process.pipelines[0]
    judged = count_judged(monkeypatch)
    for number in range(40):
        lines = [b"X-Forwarded-For: 198.51.100.%d" % (number % 4), b"X-Forwarded-Host: plain.example.com"]
        process.ask(pipeline, process.reach(pipeline, "10.0.0.1", False), asked(b"/api/%d" % number, *lines))
        assert pipeline.told[0] == "forward"
        assert b"X-Forwarded-For: 198.51.100.%d, 10.0.0.1\r\n" % (number % 4) in pipeline.told[1]
        assert b"Host: plain.example.com\r\n" in pipeline.told[1]
    assert len(judged) <= 10


class Waiting(Told):
    """A pipeline whose shared counts are told when the test says so."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.waiting: list[tuple[Any, Any]] = []

    def handle(self, exchange) -> None:
        """Go on, or wait."""
        before = len(self.waiting)
        self.exchange = exchange
        Pipeline.handle(self, exchange)
        if len(self.waiting) == before:
            exchange.respond(204, [])

    def _answer(self, passage, answer) -> None:
        Pipeline._answer(self, passage, answer)

    def _spawn(self, work) -> None:
        self.waiting.append((self.exchange, work))

    def go_on(self) -> list[Any]:
        """Let the store answer all who wait; return what was told of each."""
        waiting, self.waiting, told = self.waiting, [], []
        for exchange, work in waiting:
            with pytest.raises(StopIteration):
                work.send(None)
            told.append(self.told)
            exchange.respond(204, [])
        return told


class Plenty:
    """A limiter that lets everybody pass."""

    async def check_shared(self, _limit: Any, _key: str) -> Allowance:
        """Tell that there is more."""
        return Allowance(9, 1)


@pytest.mark.parametrize("waits", [1, 2, 4])
@pytest.mark.parametrize("others", [b"/%d", b"/optional/%d", b"/shared/b%d"])
def test_r53_who_waits_for_the_store_is_taken_for_nobody_else(others: bytes, waits: int):
    """R44, R53 [2.32]: what is decided once the store has counted is kept for the head that it was about."""
    limit = {"requests": 99, "per": "1m", "by": "address", "shared": True}
    shared = {"path": "/shared/", "rate_limit": limit}
    known = compile_settings(pure.settings(*ROUTES, shared, providers=PROVIDERS, prefix="/auth/"))
    process = Process()
    knowledge = replace(process.pipelines[0].knowledge, compiled=known)
    ways = replace(process.pipelines[0].ways, limiter=Plenty())
    pipeline = Waiting(knowledge, ways)
    heads = {
        who: [head_of(b"POST", path % number, HOSTS[0], [line, b"Content-Length: 0"]) for number in range(12)]
        for who, path, line in (
            ("alice", b"/shared/a%d", cookie("alice500")),
            ("bob", others, cookie("bob500")),
        )
    }
    seen: dict[str, HeadsSeen] = {"alice": HeadsSeen(), "bob": HeadsSeen()}
    asking: list[str] = []
    for number in range(12):
        for who, peer in zip(heads, PEERS, strict=False):
            connection = process.reach(pipeline, peer, False)
            connection._seen = seen[who]
            pipeline.told = None
            process.ask(pipeline, connection, heads[who][number])
            if pipeline.told is None:
                asking.append(who)
            else:
                check_told(pipeline.told, who)
        if number % waits == waits - 1:
            for who, told in zip(asking, pipeline.go_on(), strict=True):
                check_told(told, who)
            asking.clear()


def check_told(told: Any, who: str) -> None:
    """Fail where another is told of."""
    assert told[0] == "forward"
    assert b"\r\nX-Forwarded-User: %b\r\n" % who.encode() in told[1]


def test_what_is_alike_is_decided_once(monkeypatch: pytest.MonkeyPatch):
    """After a few heads of a pattern with one token on one route, nothing is decided anew."""
    process = Process()
    pipeline = process.pipelines[0]
    judged = count_judged(monkeypatch)
    for number in range(12):
        # whatever a stranger says of others is dropped, and may differ
        stranger = b"X-Forwarded-For: 198.51.100.%d" % number
        data = asked(b"/api/%d?q=%%20" % number, b"traceparent: 00-%d" % number, stranger)
        process.ask(pipeline, process.reach(pipeline, PEERS[0], False), data)
        assert pipeline.told[0] == "forward"
        assert b"GET /api/%d?q=%%20 HTTP/1.1\r\n" % number in pipeline.told[1]
        assert b"traceparent: 00-%d\r\n" % number in pipeline.told[1]
    assert len(judged) == 3


def test_a_connection_learns_again_after_a_reload(monkeypatch: pytest.MonkeyPatch):
    """What its heads showed under other settings does not keep a connection from the short way."""
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    judged = count_judged(monkeypatch)
    for number in range(24):
        if number == 12:
            process.reload(0, 0)
        process.ask(pipeline, connection, asked(b"/api/%d" % number))
        assert pipeline.told[0] == "forward"
    assert len(judged) == 6


def test_r60_what_is_kept_of_patterns_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """R60: however many patterns clients show, few are kept, and what is kept of a plan is not its head."""
    monkeypatch.setattr(recall, "_MOST_PATTERNS", 4)
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    first: Pattern | None = None
    for number in range(12):
        for turn in range(4):
            head_sent = asked(b"/%d" % turn, b"X-Name-%d: %b" % (number, b"v" * 3000))
            process.ask(pipeline, connection, head_sent)
        first = first or connection._seen.patterns[0]
    assert first is not None
    assert first.match(asked(b"/1", b"X-Name-0: v")) is None
    assert not first._known.kept
    assert not first._known.cookies
    assert not first._known.authorization
    known = pipeline._recall
    assert len(known._patterns) + len(known._older) <= 8
    assert len(connection._seen.patterns) <= 6
    plans = list(known._plans.young.values())
    assert plans
    assert all(plan.size < 1500 and not plan.forward.fields and not plan.forward.target for plan in plans)


def test_r60_heads_that_come_once_displace_no_pattern(monkeypatch: pytest.MonkeyPatch):
    """R60: a client whose every head has another shape does not take from others what is known of theirs."""
    monkeypatch.setattr(recall, "_OFTEN", 2)
    monkeypatch.setattr(recall, "_MOST_PATTERNS", 4)
    monkeypatch.setattr(recall, "_MOST_COUNTED", 4)
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    for number in range(4):
        process.ask(pipeline, connection, asked(b"/api/%d" % number))
    (pattern,) = connection._seen.patterns
    stranger = process.reach(pipeline, PEERS[1], False)
    for number in range(40):
        process.ask(pipeline, stranger, asked(b"/api/x", b"X-Name-%d: 1" % number))
    known = pipeline._recall
    assert len(known._counts) + len(known._older_counts) <= 8
    assert pattern.match(asked(b"/api/9")) is not None


def test_r60_patterns_cannot_be_bought(monkeypatch: pytest.MonkeyPatch):
    """R60: after one was compiled, others wait; and what would be dear is not compiled at all."""
    monkeypatch.setattr(recall, "_PAUSE", 1e6)
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    for number in range(6):
        process.ask(pipeline, connection, asked(b"/", b"X-Name-%d: 1" % number))
    assert len(connection._seen.patterns) == 1
    dear = head.read_request_head(asked(b"/", b"Accept: " + b"a" * 1500)).of(PEERS[0], tls=False)
    assert compile_pattern(dear, compiled(0).rules.request_names) is None
