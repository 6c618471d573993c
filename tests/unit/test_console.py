"""The console's parts: what is escaped, what is counted, who is let in, and for how long."""

import json
from collections.abc import Mapping
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config.checks.every import check, warn
from gateway.config.settings.admin import AdminSettings, AdminTokenSettings
from gateway.config.settings.console import ConsoleSettings
from gateway.config.settings.root import Settings
from gateway.core.fault import Fault
from gateway.core.headers.request import Request
from gateway.core.reasons import Reason
from gateway.edge.admin.console import charts, html, login
from gateway.edge.admin.console.backing import Backing, WorkerState
from gateway.edge.admin.console.console import Console, newest_first
from gateway.edge.admin.console.door import MOST_KNOWN, Attempts, is_private
from gateway.edge.admin.console.ending import entry_of, read_pasted, reason_of
from gateway.edge.admin.console.history import History, Reading, percentile, read
from gateway.edge.admin.console.layout import POLICY, Page, render
from gateway.edge.admin.console.overview import Sight, overview
from gateway.edge.admin.console.visits import MOST_VISITS, Visits
from gateway.edge.admin.http import Ask
from gateway.edge.admin.listener import Admin
from gateway.edge.admin.operators import Entrance, Operator, Tokens
from gateway.edge.admin.revocation_request import Refused, Terms
from gateway.edge.admin.sessions import Answer
from gateway.edge.telemetry.metric_merge import Merged
from gateway.syntax.encoding import encode_base64url
from tests.support.console import Seen, inert

NOW = 1_700_000_000.0
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title><svg onload=alert(1)>",
    "{{csrf}}{{body}}",
    "&lt;b&gt;&#x3c;",
    "\u202etxt.exe\u2066\u200f",
    "a\x00b\x1b[31mc\x7f\r\nSet-Cookie: x=1\u2028",
    "\ud800 alone",
    "javascript:alert(1)",
    "A" * 10_000,
    "\U0001f4a9" * 5_000,
)


@pytest.mark.parametrize("evil", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_it_is_called_it_is_text(evil: str):
    """R90 [12.console] A hostile name anywhere on the overview stays a text, cut, and without disguise."""
    history = History()
    for at in range(3):
        outcomes = {("forward", evil, "2xx"): 5.0 * at}
        history.note(Reading(float(at) * 4, requests=5.0 * at, outcomes=outcomes, routes={(evil,): 5.0 * at}))
    about = {
        "modules": evil,
        "store": evil,
        "store_kind": evil,
        "providers": {evil: {"up": False, "trouble": evil, "trouble_at": NOW - 5, "keys": 1, "age": 4.0}},
        "certificates": {evil: NOW + 60},
        "upstreams": {evil: [evil]},
    }
    line = {"time": evil, "level": "error", "message": evil, evil: [evil, {evil: evil}], "worker": 1}
    busy, up = "gateway_http_upstream_server_busy", "gateway_store_up"
    figures = Merged().samples(
        [
            [
                [busy, "gauge", "", [[busy, {"upstream": evil, "server": "0"}, 1.0]]],
                [up, "gauge", "", [[up, {}, 0.0]]],
            ]
        ]
    )
    sight = Sight(NOW, figures, history, [WorkerState(0, 1, evil, about=about)], [line])
    told = render(overview(sight, is_live=True), Operator(evil, "read"), "csrf", ("stop", evil))
    text = told.body.decode()
    inert(text)
    assert len(text) < 120_000
    assert "&lt;script&gt;" in text or "<script>alert" not in text
    assert told.headers["Refresh"] == "5; url=/console/?auto=1"


@given(st.text(max_size=50), st.text(max_size=50))
def test_an_element_holds_nothing_but_text(content: str, value: str):
    """Whatever stands in an element or an attribute comes out again as that, or as a space."""
    text = html.h("p", content, title=value)
    seen = Seen(text)
    assert seen.tags == ["p"]
    assert [name for name, _ in seen.attributes] == ["title"]


@pytest.mark.parametrize(
    ("to", "safe"),
    [
        ("/console/people?q=alice%40example.com", "/console/people?q=alice%40example.com"),
        ("/console/", "/console/"),
        ("", "/console/"),
        ("https://evil.example/", "/console/"),
        ("//evil.example/", "/console/"),
        ("/console/../metrics", "/console/"),
        ("/console//evil.example", "/console/"),
        ("/console/people\r\nSet-Cookie: a=b", "/console/"),
        ("/console/people?q=<script>", "/console/"),
        ("/console/login?out=1", "/console/"),
        ("/console/" + "a" * 2000, "/console/"),
        ("/metrics", "/console/"),
    ],
)
def test_a_login_leads_to_a_page_of_the_console_alone(to: str, safe: str):
    """[12.console] No address that somebody else wrote is followed after a login."""
    assert login.safe(to) == safe
    inert(render(login.page(login.Ways("p", has_tokens=True), to, "<b>")).body.decode())


def test_a_browser_runs_nothing_of_it():
    """[12.console] The policy lets in the one style sheet, and forms that post to the console itself."""
    reply = render(Page("x", "y"))
    _, headers, _ = reply.render()
    policies = [value for name, value in headers if name == b"Content-Security-Policy"]
    assert policies == [POLICY.encode()]
    assert POLICY.startswith("default-src 'none'; style-src 'sha256-")
    for each in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert each in POLICY
    assert "unsafe" not in POLICY


# figures


def buckets(*counts: float) -> dict[float, float]:
    """Return a histogram with the bounds 1, 2, 4 and none."""
    return dict(zip((1.0, 2.0, 4.0, inf), counts, strict=True))


@pytest.mark.parametrize(
    ("before", "after", "wanted", "found"),
    [
        ((0, 0, 0, 0), (10, 10, 10, 10), 0.5, 0.5),
        ((0, 0, 0, 0), (0, 10, 10, 10), 0.5, 1.5),
        ((10, 10, 10, 10), (10, 20, 20, 20), 1.0, 2.0),
        ((0, 0, 0, 0), (0, 0, 0, 10), 0.99, 4.0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.5, None),
        ((9, 9, 9, 9), (1, 1, 1, 1), 0.5, None),
    ],
)
def test_percentiles_of_what_came_between(before, after, wanted: float, found: float | None):
    """[12.console] A percentile is of what two readings saw between them, and None where that was nothing."""
    assert percentile(buckets(*before), buckets(*after), wanted) == found


def test_rates_need_two_readings_and_survive_a_restart():
    """[12.console] A rate is what a counter rose by; one that began anew counts from nought."""
    history = History()
    assert history.rate(lambda each: each.requests) is None
    history.note(Reading(0.0, requests=100.0))
    assert history.rate(lambda each: each.requests) is None
    history.note(Reading(4.0, requests=108.0))
    assert history.rate(lambda each: each.requests) == 2.0
    history.note(Reading(8.0, requests=4.0))
    assert history.line(lambda each: each.requests) == [2.0, 1.0]
    for at in range(3, 1000):
        history.note(Reading(4.0 * at, requests=4.0 * at))
    assert history.reach == 600.0
    assert history.rate(lambda each: each.requests) == pytest.approx(1.0)
    assert len(history.line(lambda each: each.requests)) == 150


def test_a_reading_of_nothing_is_a_reading():
    """No figure that is lacking breaks the page: before the first request there are none."""
    reading = read(Merged().samples([]), 1.0)
    assert (reading.requests, reading.own, reading.upstreams) == (0.0, {}, {})
    sight = Sight(NOW, Merged().samples([]), History(), [], [])
    inert(render(overview(sight, is_live=False), Operator("o", "all"), "c").body.decode())


def test_a_sparkline_says_what_it_shows():
    """[12.console] Who cannot see the picture is told the lowest, the highest and the newest."""
    drawn = charts.sparkline("Requests", [1.0, None, 3.0, 2.0], html.number)
    assert 'aria-label="Requests: lowest 1, highest 3, newest 2"' in drawn
    assert "style" not in drawn
    assert "Not enough readings" in charts.sparkline("Requests", [None, 1.0], html.number)


# operators


def tokens_of(**tokens: str | None) -> Tokens:
    """Return tokens by their names, each with its end."""
    found = Tokens()
    found.configure(
        AdminSettings(
            tokens={
                name: AdminTokenSettings(token=SecretStr(f"{name}-" * 8), role="revoke", expires=ends)
                for name, ends in tokens.items()
            }
        )
    )
    return found


class Times:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Return it."""
        return self.now


def test_a_session_idles_out_and_ends():
    """[12.console] It goes on for as long as somebody does something, and no longer than it may."""
    clock, tokens = Times(), tokens_of(carol=None)
    visits = Visits(tokens, clock)
    visits.configure(ConsoleSettings(idle_lifetime=100.0, absolute_lifetime=250.0))
    held = tokens.find(b"carol-" * 8)
    assert held is not None
    handle = visits.begin(held.operator, held)
    clock.now += 99
    assert visits.find(handle) is not None
    clock.now += 99
    # a page that asks for itself is no use of it
    assert visits.find(handle, is_use=False) is not None
    clock.now += 2
    assert visits.find(handle) is None
    handle = visits.begin(held.operator, held)
    for _ in range(5):
        clock.now += 50
        found = visits.find(handle)
    assert found is None
    for wrong in ("", "x" * 43, handle + "x", "ä" * 43, handle[:-1] + ("a" if handle[-1] != "a" else "b")):
        assert visits.find(wrong) is None


def test_a_token_that_is_gone_takes_its_sessions_along():
    """[12.console] A token that was taken away, exchanged, or has expired: out with the next request."""
    clock, tokens = Times(), tokens_of(carol=None, rita="2023-11-15")
    visits = Visits(tokens, clock)
    visits.configure(ConsoleSettings())
    handles = {}
    for name in ("carol", "rita"):
        held = tokens.find(f"{name}-".encode() * 8)
        assert held is not None
        handles[name] = visits.begin(held.operator, held)
    assert visits.find(handles["rita"]) is not None
    clock.now += 7200
    visits.configure(ConsoleSettings(idle_lifetime=8 * 3600.0))
    assert visits.find(handles["rita"]) is None
    assert visits.find(handles["carol"]) is not None
    tokens.configure(AdminSettings(tokens={}))
    assert visits.find(handles["carol"]) is None


def test_a_role_that_was_taken_away_is_gone_at_once():
    """[12.console] The role is the configuration's of now, not that of the log-in."""
    tokens = tokens_of(carol=None)
    visits = Visits(tokens, lambda: NOW)
    visits.configure(ConsoleSettings())
    held = tokens.find(b"carol-" * 8)
    assert held is not None
    handle = visits.begin(held.operator, held)
    tokens.configure(
        AdminSettings(tokens={"carol": AdminTokenSettings(token=SecretStr("carol-" * 8), role="read")})
    )
    visit = visits.find(handle)
    assert visit is not None
    assert visit.operator.role == "read"


def test_who_logged_in_at_a_provider_is_out_once_others_are_admitted():
    """[12.console] Another provider, policy or role, or no console: all of them are out."""
    first = ConsoleSettings.model_validate(
        {"url": "http://localhost:1", "provider": "p", "require": {"groups": ["ops"]}, "role": "all"}
    )
    for change in ({"provider": "q"}, {"require": None}, {"role": "read"}):
        visits = Visits(Tokens(), lambda: NOW)
        visits.configure(first)
        handle = visits.begin(Operator("olga", "all", "login"), None, {"sub": "olga"})
        visits.configure(first)
        assert visits.find(handle) is not None
        visits.configure(first.model_copy(update=change))
        assert visits.find(handle) is None
    visits.begin(Operator("olga", "all", "login"), None, {"sub": "olga"})
    visits.configure(None)
    assert len(visits) == 0


def test_no_more_sessions_than_are_held():
    """[12.console] Who logs in over and over fills no memory: the one unused for longest makes room."""
    visits = Visits(Tokens(), lambda: NOW)
    visits.configure(ConsoleSettings())
    handles = [visits.begin(Operator("o", "read", "login"), None, {}) for _ in range(MOST_VISITS + 10)]
    assert len(visits) == MOST_VISITS
    assert visits.find(handles[-1]) is not None


def test_attempts_of_one_address_and_of_all():
    """[12.console] Ten a minute of one address, sixty of all; who is shut out takes none from others."""
    clock = Times()
    attempts = Attempts(clock)
    assert [attempts.wait("10.0.0.1") for _ in range(10)] == [None] * 10
    assert attempts.wait("10.0.0.1") == 6
    for _ in range(1000):
        attempts.wait("10.0.0.1")
    others = [attempts.wait(f"10.0.1.{number}") for number in range(100)]
    assert others.count(None) == 50
    clock.now += 1
    assert attempts.wait("10.0.2.1") is None


def test_strangers_together_keep_out_no_address_that_has_logged_in():
    """[12.console] However many of them there are; such an address has its own ten a minute, and no more."""
    attempts = Attempts(Times())
    attempts.succeeded("10.9.9.9")
    assert [attempts.wait(f"10.0.1.{number}") for number in range(100)].count(None) == 60
    assert [attempts.wait("10.9.9.9") for _ in range(11)] == [None] * 10 + [6]
    # those that have logged in longest ago are forgotten
    for number in range(MOST_KNOWN):
        attempts.succeeded(f"10.7.{number // 256}.{number % 256}")
    attempts.succeeded("10.9.9.9")
    assert attempts.wait("10.7.0.0") is not None
    assert attempts.wait("10.7.0.1") is None


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%lo", False),
        ("0.0.0.0", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_who_comes_over_a_network(address: str, is_here: bool):
    """[12.console] Only this very machine is served without TLS; what is no address is not it."""
    assert is_private(address) == is_here


# configuration


def minimal() -> dict[str, Any]:
    """Return a configuration that has no problem."""
    return {
        "public_url": "https://app.example.com",
        "secret_keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh4="],
        "providers": {
            "idp": {"issuer": "https://idp.example.com", "client_id": "x", "client_secret": "y" * 20}
        },
        "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
        "routes": [{"path": "/", "upstream": "app", "access": "required"}],
    }


_GOOD = {"url": "https://admin.internal", "provider": "idp", "require": {"groups": ["ops"]}}


def problems_of(console: dict) -> list[str]:
    """Return the problems of a console, each with its setting."""
    settings = Settings.model_validate(minimal() | {"admin": {"console": console}})
    return [
        f"{'.'.join(map(str, each.path))}: {each.message}"
        for each in check(settings)
        if "console" in each.path
    ]


def test_who_may_be_an_operator_is_said():
    """[12.console] A provider without a policy, or without a way back, makes nobody an operator."""
    good = _GOOD
    assert problems_of(good) == []
    assert problems_of({}) == []
    for change, at in (
        ({"require": None}, "admin.console.require"),
        ({"url": None}, "admin.console.url"),
        ({"provider": "nobody"}, "admin.console.provider"),
        ({"provider": None}, "admin.console.require"),
        ({"require": {}}, "admin.console.require"),
        ({"require": {"policies": ["none"]}}, "admin.console.require.policies.0"),
        ({"require": {"networks": ["10.0.0.0/8"]}}, "admin.console.require.networks"),
        ({"require": {"methods": ["GET"]}}, "admin.console.require.methods"),
        ({"url": "http://admin.example.com"}, "admin.console.url"),
        ({"url": "https://admin.example.com"}, "admin.console.url"),
        ({"url": "https://admin.internal/x"}, "admin.console.url"),
        ({"idle_lifetime": "8h", "absolute_lifetime": "1h"}, "admin.console.idle_lifetime"),
    ):
        found = problems_of({key: each for key, each in (good | change).items() if each is not None})
        assert any(each.startswith(at) for each in found), (change, found)


def test_a_console_that_nobody_can_enter_is_warned_of():
    """[12.console] No token and no provider: said at the start."""
    settings = Settings.model_validate(minimal() | {"admin": {"console": {}}})
    assert any("nobody can log in" in each.message for each in warn(settings))


# garbage

TERMS = Terms({"idp": "https://idp.example.com", "other": "https://other.example.com"}, 3600.0, 60.0)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=2),
)


@given(st.text(max_size=200))
def test_whatever_is_pasted_is_a_name_or_refused(text: str):
    """[12.console] Any text is a jti, or is none."""
    try:
        named = read_pasted(text)
    except Refused:
        return
    assert named.jti.split() == [named.jti]


@given(st.dictionaries(st.sampled_from(["jti", "iss", "exp", "sub"]), ANYTHING))
def test_a_token_of_any_claims_is_named_or_refused(claims: dict[str, Any]):
    """[12.console] What is no text or no time counts as not told, however large it is."""
    payload = encode_base64url(json.dumps(claims).encode())
    try:
        named = read_pasted(f"eyJhbGciOiJub25lIn0.{payload}.x")
    except Refused:
        return
    assert named.jti == claims["jti"]
    assert named.expires is None or 0 < named.expires < 1e12
    html.moment(named.expires, NOW)


@given(st.dictionaries(st.sampled_from(["kind", "value", "provider", "reason", "x"]), st.text(max_size=40)))
def test_a_form_of_anything_is_an_entry_or_refused(fields: dict[str, str]):
    """[12.console] Nothing but the four kinds, each of a provider that there is; never everybody."""
    try:
        entry = entry_of(fields, TERMS, NOW)
    except Refused:
        return
    assert entry.kind in ("sub", "session", "sid", "jti")
    assert entry.value == fields["value"]
    assert entry.issuer in ("", *TERMS.issuers.values())


@pytest.mark.parametrize("reason", ["", " ", "\t\n", "...", "\u202e", "x" * 301])
def test_a_reason_says_something(reason: str):
    """[12.console] An empty reason is none, however it is written."""
    with pytest.raises(Refused):
        reason_of({"reason": reason})
    assert reason_of({"reason": "  left  "}) == "left"


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", '{"time": 1}', '{"time": "0001-01-01"}', "[" * 10_000]
)
def test_a_line_of_anything_breaks_no_page(line: str):
    """Lines of the log come from other processes: what is none is left out."""
    sight = Sight(NOW, Merged().samples([]), History(), [], newest_first([line]))
    inert(render(overview(sight, is_live=False), Operator("o", "read"), "c").body.decode())


def test_a_console_that_a_reload_brings_is_made_then():
    """[12.console] Nothing of it is loaded before the configuration has it; then it is told of changes."""
    made: list[AdminSettings] = []

    class Made:
        def configure(self, settings: AdminSettings, _terms: Terms) -> None:
            made.append(settings)

    def open_console(settings: AdminSettings, terms: Terms) -> Any:
        console = Made()
        console.configure(settings, terms)
        return console

    off, on = AdminSettings(listen="127.0.0.1:0"), AdminSettings(console=ConsoleSettings())
    nothing: Any = None
    admin = Admin(
        off,
        metrics=nothing,
        ready=nothing,
        revoke=nothing,
        terms=TERMS,
        audit=nothing,
        clock=lambda: NOW,
    )
    admin.open_console = open_console
    admin.configure(off, TERMS)
    assert admin.console is None
    admin.configure(on, TERMS)
    first = admin.console
    assert first is not None
    admin.configure(off, TERMS)
    assert admin.console is first
    assert made == [on, off]


# where nobody can tell


class Exchanged:
    """One request, as the listener has it."""

    def __init__(self, method: bytes, target: bytes, cookie: str = "") -> None:
        host = (b"Host", b"localhost:9090")
        headers = (host, (b"Cookie", cookie.encode())) if cookie else (host,)
        self.request = Request(method, target, b"localhost:9090", headers, "127.0.0.1")


def console_of(logins: Any) -> Console:
    """Return a console whose operators log in at a provider."""
    settings = AdminSettings.model_validate(
        {"token": "a-token-of-the-tests-0123456789", "console": {**_GOOD, "provider": "idp"}}
    )
    nothing: Any = None

    async def workers() -> list[WorkerState]:
        return []

    backing = Backing(lambda: Merged().samples([]), workers, list, nothing, nothing, nothing, logins, nothing)
    events: list[str] = []
    entrance = Entrance(lambda event, **_: events.append(event), lambda: NOW)
    entrance.tokens.configure(settings)
    return Console(settings, TERMS, backing, entrance, lambda *_, **__: None, lambda: NOW)


@pytest.mark.parametrize("fault", [Fault("gateway", Reason.OVERLOADED, "no worker is ready"), None])
async def test_who_cannot_be_told_of_is_not_let_in(fault: Fault | None):
    """[12.console] Where no worker answers, or one says no, a log-in at a provider counts no more."""

    async def logins(action: str, _fields: Mapping[str, str], _mandate: Any) -> Answer:
        assert action == "holds"
        if fault is not None:
            raise fault
        return Answer(403)

    console = console_of(logins)
    handle = console.visits.begin(Operator("olga", "all", "login"), None, {"subject": "olga"})
    cookie = f"gateway-console-9090={handle}"
    exchange: Any = Exchanged(b"GET", b"/console/", cookie)
    reply = await console.answer(Ask(exchange))
    assert reply.status == (503 if fault else 401)
    assert b"All is well" not in reply.body
    exchange = Exchanged(b"GET", b"/console/login", cookie)
    reply = await console.answer(Ask(exchange))
    assert reply.status == 200
    assert b"Admin token" in reply.body
    await console.close()


async def test_what_breaks_is_a_page_and_tells_nothing():
    """[12.console] An error of ours shows its kind, and no text of it."""

    async def logins(*_: Any) -> Answer:
        raise RuntimeError("a secret")

    console = console_of(logins)
    handle = console.visits.begin(Operator("olga", "all", "login"), None, {"subject": "olga"})
    exchange: Any = Exchanged(b"GET", b"/console/people", f"gateway-console-9090={handle}")
    reply = await console.answer(Ask(exchange))
    assert reply.status == 500
    assert b"a secret" not in reply.body
    inert(reply.body.decode())
    await console.close()
