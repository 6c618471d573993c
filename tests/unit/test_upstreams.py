"""The parts that choose servers, leave them alone and find them; and what is checked of their settings."""

import pytest

from gateway.config.checks.every import warn
from gateway.config.checks.problems import shown_path
from gateway.config.settings.upstreams import BreakerSettings, UpstreamSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.routes import compile_routes
from gateway.core.runtime import problems as check
from gateway.edge.rendering.render import render_fault
from gateway.http.upstream.balance import Balance, interleave
from gateway.http.upstream.breaker import Breaker, Lately
from gateway.http.upstream.origin import Origin, expand_statuses
from gateway.http.upstream.pool import UpstreamPool
from tests.support.decisions import ask, compiled
from tests.support.pure import HOST, settings, values


def test_the_breaker():
    """Opens with the last of a row, lets one try after the delay, and closes with a success."""
    breaker = Breaker(3, 10.0)
    for _ in range(2):
        breaker.unreachable(0.0)
    breaker.close()
    for _ in range(2):
        breaker.unreachable(1.0)
    assert not breaker.is_open
    breaker.unreachable(1.0)
    assert breaker.is_open
    assert not breaker.by_answers
    assert not breaker.is_due(10.9)
    assert breaker.is_due(11.0)
    breaker.hold(11.0)
    assert breaker.is_tried
    assert not breaker.is_due(20.9)
    assert breaker.is_due(21.0)
    breaker.unreachable(21.0)
    assert not breaker.is_tried
    assert not breaker.is_due(30.9)
    breaker.close()
    assert not breaker.is_open
    assert not breaker.is_due(100.0)


def test_a_breaker_that_never_opens():
    """A limit of 0 is none."""
    breaker = Breaker(0, 1.0)
    for _ in range(1000):
        breaker.unreachable(0.0)
    assert not breaker.is_open


@pytest.mark.parametrize(
    ("failures", "answers", "expected"),
    [
        ({"a": 10, "b": 10}, 0, True),
        ({"a": 10, "b": 9}, 0, False),
        ({"a": 10, "b": 10}, 20, True),
        ({"a": 10, "b": 10}, 21, False),
        ({"a": 1000}, 0, False),
        ({"a": 1000, "b": 9}, 0, False),
        ({"a": 1000, "b": 10}, 0, True),
        ({"a": 1000, "b": 10}, 21, False),
        ({"a": 1000, "b": 30, "c": 20}, 100, True),
        ({str(n): 1 for n in range(200)}, 100, True),
        ({}, 1000, False),
    ],
)
def test_failures_of_late(failures, answers, expected):
    """R76 [1.15]: half of at least 20, where no client counts for more than all others together."""
    lately = Lately()
    lately.note_answers(100.0, 7)
    for address, count in failures.items():
        for _ in range(count):
            lately.note_failure(100.5, address)
    lately.note_answers(111.0, 7)
    assert lately.is_failing(7 + answers) is expected
    lately.forget()
    assert not lately.is_failing(7)


def test_only_ten_seconds_count():
    """[1.15]: what is older, failures and answers, says nothing any more."""
    lately = Lately()
    for second in range(60):
        lately.note_answers(float(second), 100 * second)
        lately.note_failure(float(second), f"client {second % 2}")
    assert not lately.is_failing(5900)
    for second in range(60, 75):
        lately.note_answers(float(second), 5900)
        for n in range(2):
            lately.note_failure(float(second), f"client {n}")
    assert lately.is_failing(5900)
    assert not lately.is_failing(5900 + 30)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1, 1, 1), [0, 1, 2]), ((2, 1), [0, 1, 0]), ((3, 1), [0, 0, 1, 0]), ((), [])],
)
def test_interleave(weights, expected):
    """Shares are spread, not bunched."""
    assert interleave(weights) == expected


def test_nobody_to_choose():
    """Without a server in rotation there is no choice."""
    balance = Balance(in_turn=True)
    assert balance.pick() is None
    balance.rotate([origin := Origin("http://a")])
    assert balance.pick() is origin
    balance.rotate([])
    assert balance.is_empty
    assert balance.pick() is None


def test_the_least_busy():
    """In relation to the weight, and in turn among equals."""
    origins = [Origin("http://a", weight=2), Origin("http://b")]
    balance = Balance(in_turn=False)
    balance.rotate(origins)
    assert {balance.pick() for _ in range(4)} == set(origins)
    origins[0].busy, origins[1].busy = 3, 1
    assert {balance.pick() for _ in range(4)} == {origins[1]}
    origins[0].busy = 1
    assert {balance.pick() for _ in range(4)} == {origins[0]}


@pytest.mark.parametrize(
    ("url", "authority", "tls", "port", "path"),
    [
        ("http://App:80/", b"app", False, 80, ""),
        ("https://app", b"app", True, 443, ""),
        ("https://app:8443", b"app:8443", True, 8443, ""),
        ("http://[::1]:3000", b"[::1]:3000", False, 3000, ""),
        ("unix:/run/app.sock", b"localhost", False, 0, "/run/app.sock"),
    ],
)
def test_servers(url, authority, tls, port, path):
    """A server is a scheme, a host and a port, or a socket."""
    origin = Origin(url, rewrite=True)
    assert (origin.authority, origin.tls, origin.port, origin.path) == (authority, tls, port, path)
    assert origin.host_line == b"Host: " + authority
    assert Origin(url).host_line is None


@pytest.mark.parametrize("url", ["unix:", "unix:app.sock", "unix://app.sock", "unix:/a\0b", "https:///x"])
def test_no_servers(url):
    """R55: anything else is an error at the start."""
    with pytest.raises(ValueError):
        Origin(url)


def test_what_is_learned_of_a_server():
    """Up is healthy with a closed breaker; statuses matter only where something depends on them."""
    origin = Origin("http://a", BreakerSettings(failures=1))
    assert (origin.up, origin.attentive) == (True, False)
    origin.breaker.unreachable(0.0)
    origin.settle()
    assert (origin.up, origin.attentive) == (False, True)
    origin.breaker.close()
    origin.healthy = False
    origin.settle()
    assert (origin.up, origin.attentive) == (False, False)
    assert Origin("http://a", BreakerSettings(status=("503",))).attentive


def test_statuses():
    """A class or a single code."""
    assert expand_statuses(("2xx", "404")) == {*range(200, 300), 404}
    assert expand_statuses(()) == frozenset()


def upstream(**changes):
    """Return what is wrong with an upstream of these settings, by path."""
    servers = {"servers": ["https://a"]}
    found = check(settings({"path": "/"}, upstreams={"app": servers | changes}, secret_keys=[KEY]))
    return [shown_path(each.path).removeprefix("upstreams.app.") for each in found]


KEY = "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw="


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, []),
        ({"servers": ["unix:/run/a.sock", "unix:/run/b.sock"]}, []),
        ({"servers": ["unix:/run/a.sock", "unix:/run/a.sock"]}, ["servers[1]"]),
        ({"servers": ["unix:a.sock"]}, ["servers[0]"]),
        ({"servers": ["unix:/" + "a" * 107]}, ["servers[0]"]),
        ({"servers": ["http://a", "http://b"], "weights": [1]}, ["weights"]),
        ({"servers": ["http://a", "http://b"], "weights": [1, 5], "balance": "round_robin"}, []),
        ({"servers": ["http://a"], "tls": {"verify": False}}, ["tls"]),
        ({"tls": {"server_name": "app.internal"}}, []),
        ({"tls": {"server_name": "app:443"}}, ["tls.server_name"]),
        ({"tls": {"client_key": "k.pem"}}, ["tls.client_key"]),
        ({"tls": {"ca_file": "ca.pem", "verify": False}}, ["tls.verify"]),
        ({"health": {"path": "/health?x=1", "host": "app.internal:80", "status": [200, "3xx"]}}, []),
        ({"health": {"path": "health"}}, ["health.path"]),
        ({"health": {"path": "/a b"}}, ["health.path"]),
        ({"health": {"path": "/a\r\nX: y"}}, ["health.path"]),
        ({"health": {"path": "/", "host": "a\r\nX: y"}}, ["health.host"]),
        ({"health": {"path": "/", "host": "u@a"}}, ["health.host"]),
    ],
)
def test_settings_of_an_upstream(changes, paths):
    """Each fault is told at its setting."""
    assert upstream(**changes) == paths


@pytest.mark.parametrize("status", ["", "2x", "600", "abc", "0xx", "2xx ", True, 99])
def test_no_statuses(status):
    """Anything but a class or a code is refused."""
    with pytest.raises(ValueError):
        upstream(breaker={"status": [status]})


def routes(*rules, **upstreams):
    """Return the settings of these routes."""
    return settings(*rules, secret_keys=[KEY], **upstreams)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"path": "/api/", "strip_prefix": True}, None),
        ({"path": "/api/", "replace_prefix": "/v2/"}, None),
        ({"path": "/api/", "replace_prefix": "/"}, None),
        ({"path": "/api/", "replace_prefix": "v2"}, "routes[0].replace_prefix"),
        ({"path": "/api/", "replace_prefix": "/a/../b"}, "routes[0].replace_prefix"),
        ({"path": "/api/", "replace_prefix": "/a//"}, "routes[0].replace_prefix"),
        ({"path": "/api/", "replace_prefix": "/a?b"}, "routes[0].replace_prefix"),
        ({"path": "/api/", "replace_prefix": "/a;b"}, "routes[0].replace_prefix"),
        ({"path": "/api/", "replace_prefix": "/a\r\nX: y"}, "routes[0].replace_prefix"),
        ({"path": "/api/", "replace_prefix": "/v2", "strip_prefix": True}, "routes[0].strip_prefix"),
    ],
)
def test_prefixes_are_checked(rule, path):
    """R56: what takes a prefix's place is canonical, for the check and for who compiles without it."""
    found = [shown_path(each.path) for each in check(routes(rule))]
    assert found == ([] if path is None else [path])
    if path is not None:
        with pytest.raises(ValueError, match="replace_prefix"):
            compile_routes(routes(rule))


@pytest.mark.parametrize(
    ("rule", "path", "seen"),
    [
        ({"path": "/api/"}, b"/api/x", b"/api/x"),
        ({"path": "/api/", "strip_prefix": True}, b"/api/x", b"/x"),
        ({"path": "/api/", "strip_prefix": True}, b"/api/", b"/"),
        ({"path": "/api", "strip_prefix": True}, b"/api", b"/"),
        ({"path": "/api/", "strip_prefix": True}, b"/api/api/x", b"/api/x"),
        ({"path": "/", "strip_prefix": True}, b"/api", b"/api"),
        ({"path": "/api/", "replace_prefix": "/"}, b"/api/x", b"/x"),
        ({"path": "/api/", "replace_prefix": "/v2/"}, b"/api/x/", b"/v2/x/"),
        ({"path": "/api/", "replace_prefix": "/v2"}, b"/api", b"/v2"),
        ({"path": "/", "replace_prefix": "/v2/"}, b"/x", b"/v2/x"),
    ],
)
def test_what_the_upstream_sees(rule, path, seen):
    """Only the route's own prefix is replaced."""
    route = compile_routes(routes(rule)).match(HOST, path, b"GET")
    assert route.forwarded(path) == seen


def test_r56_the_decision_forwards_the_replaced_path():
    """R56: the query stays, the upstream is told the prefix, and nobody else can tell it one."""
    known = compiled(
        {"path": "/api", "access": "public", "strip_prefix": True}, {"path": "/", "access": "public"}
    )
    forged = (b"X-Forwarded-Prefix", b"/evil")
    answer = ask(known, "/api/x?y=/api/", forged)
    assert answer.target == b"/x?y=/api/"
    assert values(answer.headers, b"X-Forwarded-Prefix") == [b"/api"]
    assert values(answer.headers, b"Host") == values(answer.headers, b"X-Forwarded-Host") == [HOST]
    answer = ask(known, "/other", forged)
    assert answer.target == b"/other"
    assert values(answer.headers, b"X-Forwarded-Prefix") == []


def test_a_time_to_come_back():
    """What the pool says of when to come back reaches the client."""
    fault = Fault("upstream", Reason.UPSTREAM_UNREACHABLE, "no server is up", retry_after=7)
    status, headers, _ = render_fault(fault, html=False, request_id="r")
    assert (status, values(headers, b"retry-after")) == (502, [b"7"])


def warnings(*rules, **more):
    """Return the paths of what is hardly meant."""
    return [shown_path(each.path) for each in warn(routes({"path": "/zone", "name": "z"}, *rules, **more))]


def test_warnings():
    """No verification is shouted; a prefix that leads behind another rule is told."""
    unverified = {"app": {"servers": ["https://a"], "tls": {"verify": False}}}
    assert warnings(upstreams=unverified) == ["upstreams.app.tls.verify"]
    public = {"path": "/open", "access": "public"}
    assert warnings(public | {"strip_prefix": True}) == ["routes[1].strip_prefix"]
    assert warnings(public | {"replace_prefix": "/zone/a"}) == ["routes[1].replace_prefix"]
    assert warnings(public | {"replace_prefix": "/zones"}) == []
    assert warnings({"path": "/open", "strip_prefix": True}) == []
    assert warnings(public) == []


class Time:
    """A clock that stands still."""

    now = 0.0


class Asking:
    """A request, as far as the choice of a server sees it."""

    is_repeatable = True


async def test_one_try_for_each_delay():
    """A try that is on its way lets no other one follow before the delay is over again."""
    breaker = BreakerSettings(failures=1, delay=10.0)
    pool = UpstreamPool(UpstreamSettings(servers=("http://a", "http://b"), breaker=breaker), Time())
    origin = pool._origins[0]
    pool.rotation.unreached(origin)
    pool.sweep(9.0)
    assert pool.rotation.due == []
    pool.time.now = 10.0
    pool.sweep(10.0)
    assert pool.rotation.due == [origin]
    assert pool.rotation.try_again(Asking()) is origin
    for now, due in ((10.0, []), (19.0, []), (20.0, [origin])):
        pool.time.now = now
        pool.sweep(now)
        assert pool.rotation.due == due
    pool.rotation.reached(origin)
    assert origin.up
    assert pool.rotation.due == []
