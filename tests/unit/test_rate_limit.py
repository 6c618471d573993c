"""The rate limit's tables: compiling, keys, fields and the configuration's checks."""

import pytest

from gateway.cli.explain import explain
from gateway.config.checks.every import warn
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.root import Settings
from gateway.core.identity import Identity
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.rate_limit import (
    MICROSECONDS,
    Buckets,
    compile_rate_limit,
    fields,
    key_of,
    network_of,
)
from gateway.core.rules.routes import compile_routes
from gateway.core.runtime import problems as check
from tests.support.configuration import KEY


def limit(name="api", **more):
    return compile_rate_limit(RateLimitSettings.model_validate(more), name)


def identity(**more):
    values = {
        "kind": "bearer", "provider": "p", "issuer": "https://i", "subject": "s", "claims": {},
        "scopes": frozenset(), "issued_at": 0.0, "expires_at": 1.0,
    }  # fmt: skip
    return Identity(**(values | more))


@pytest.mark.parametrize(
    ("written", "interval", "burst"),
    [
        ({"requests": 100, "per": "1m"}, 600_000, 100),
        ({"requests": 100, "per": "1m", "burst": 20}, 600_000, 20),
        ({"requests": 3, "per": "1s"}, 333_334, 3),
        ({"requests": 1, "per": "1d"}, 86_400_000_000, 1),
        ({"requests": 10_000, "per": "1s", "burst": 1}, 100, 1),
    ],
)
def test_compile(written, interval, burst):
    """An interval is whole microseconds, rounded up; the burst is as many as the requests unless told."""
    found = limit(**written)
    assert (found.interval, found.burst) == (interval, burst)


def test_fields():
    """RateLimit-Policy tells of the burst and its window, RateLimit of what is left; names are escaped."""
    api = limit(requests=100, per="1m", burst=20)
    buckets = Buckets(api)
    assert fields(api, buckets.take("k", 0)) == (
        (b"RateLimit-Policy", b'"api";q=20;w=12'),
        (b"RateLimit", b'"api";r=19;t=1'),
    )
    for _ in range(19):
        buckets.take("k", 0)
    refusal = buckets.take("k", 0)
    assert refusal.wait == 1
    assert fields(api, refusal)[1] == (b"RateLimit", b'"api";r=0;t=12')
    odd = limit('a"b\\c;q=9\r\nX: y', requests=1, per="1s")
    assert odd.policy == b'"a\\"b\\\\c;q=9X: y";q=1;w=1'


def test_a_burst_and_then_the_rate():
    """Twenty at once, then one every 600 ms."""
    buckets = Buckets(limit(requests=100, per="1m", burst=20))
    now = 5 * MICROSECONDS
    assert [buckets.take("k", now).wait for _ in range(22)] == [None] * 20 + [1, 1]
    assert buckets.take("other", now).wait is None
    assert buckets.take("k", now + 599_999).wait == 1
    assert buckets.take("k", now + 600_000).wait is None
    assert buckets.take("k", now + 600_000).wait == 1


def test_room_is_made_by_who_is_least_ahead():
    """A full table forgets the caller who owes least, and newcomers owe as much as that one did."""
    buckets = Buckets(limit(requests=10, per="10s"), most=2)
    for _ in range(5):
        buckets.take("busy", 0)
    buckets.take("calm", 0)
    assert buckets.take("new", 0).remaining == 9
    assert len(buckets) == 2
    # "calm" made room, and nobody who is not in the table is better off than it was
    assert buckets.look("calm", 0).remaining == buckets.look("newer", 0).remaining == 8
    assert buckets.look("busy", 0).remaining == 4
    # whole again: forgotten without a trace, as is the floor
    later = 60 * MICROSECONDS
    assert buckets.take("later", later).remaining == 9


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_network_of(address, expected):
    """One customer has a whole /64, so its addresses count as one."""
    assert network_of(address) == expected


def test_keys():
    """By identity, session or address; what is missing falls back, and no two kinds meet."""
    bearer, session = identity(), identity(session_id="abc")
    assert key_of("identity", bearer, "192.0.2.7") == key_of("session", bearer, "192.0.2.8")
    assert key_of("session", session, "192.0.2.7") == "sabc"
    assert key_of("identity", session, "192.0.2.7") == key_of("identity", bearer, "192.0.2.7")
    assert key_of("address", session, "192.0.2.7") == "a192.0.2.7"
    assert key_of("identity", None, "192.0.2.7") == key_of("session", None, "192.0.2.7") == "a192.0.2.7"
    # issuer and subject cannot be shifted against each other (R26)
    one = identity(issuer="https://i", subject="/x")
    other = identity(issuer="https://i/", subject="x")
    assert key_of("identity", one, "") != key_of("identity", other, "")
    long = [key_of("identity", identity(subject="s" * 9000 + end), "") for end in "ab"]
    assert long[0] != long[1]
    assert max(map(len, long)) < 100
    assert len(key_of("session", identity(session_id="\ud800" * 9000), "")) < 100


def test_reason():
    """Too many requests is 429 (RFC 6585 section 4)."""
    assert status_of(Reason.RATE_LIMITED) == 429


def settings(**more):
    return Settings.model_validate(
        {
            "public_url": "https://app.example.com",
            "secret_keys": [KEY],
            "providers": {
                "p": {
                    "issuer": "https://i.example",
                    "client_id": "c",
                    "client_secret": "s",
                    "audiences": ["a"],
                }
            },
            "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
            "routes": [{"path": "/", "upstream": "app", "access": "required"}],
            **more,
        }
    )


def route(**more):
    return {"path": "/", "upstream": "app", "access": "required", **more}


def test_limits_of_routes():
    """A route has a limit of its own or one by name; routes that name the same one count together."""
    table = compile_routes(
        settings(
            rate_limits={"common": {"requests": 5, "per": "1s"}},
            routes=[
                route(path="/a", rate_limit="common"),
                route(path="/b", rate_limit="common"),
                route(path="/c", rate_limit={"requests": 1, "per": "1m", "by": "address", "shared": True}),
                route(),
            ],
        )
    )
    a, b, c, d = table.routes
    assert a.rate_limit == b.rate_limit
    assert (a.rate_limit.name, c.rate_limit.name) == ("common", "/c")
    assert c.rate_limit.shared
    assert d.rate_limit is None
    assert len(table.limits) == 2


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"routes": [route(rate_limit="nope")]}, "routes[0].rate_limit"),
        ({"routes": [route(rate_limit={"requests": 20_000, "per": "1s"})]}, "routes[0].rate_limit.requests"),
        ({"rate_limits": {"a b": {"requests": 1, "per": "1s"}}}, "rate_limits.?"),
        ({"rate_limits": {"a": {"requests": 20_000, "per": "1s"}}}, "rate_limits.a.requests"),
    ],
)
def test_bad_limits(more, where):
    """A name that there is not, and rates too fine to count, are errors at their place."""
    assert [str(problem).partition(": ")[0] for problem in check(settings(**more))] == [where]


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"requests": 1}, {"per": "1s"}, {"requests": 0, "per": "1s"}, {"requests": 1, "per": "0s"},
        {"requests": 1, "per": "1s", "burst": 0}, {"requests": 1, "per": "1s", "by": "cookie"},
        {"requests": True, "per": "1s"}, {"requests": 1, "per": "1s", "brust": 2}, "",
    ],
)  # fmt: skip
def test_impossible_limits(wrong):
    """Empty never means unlimited."""
    with pytest.raises(ValueError, match=r"validation error"):
        settings(routes=[route(rate_limit=wrong)])


def test_unused_limit():
    """A limit that no route names is hardly meant."""
    found = [str(problem) for problem in warn(settings(rate_limits={"a": {"requests": 1, "per": "1s"}}))]
    assert any("no route names this limit" in each for each in found)


def test_explain_tells_the_limit():
    """``gateway explain`` names the limit of the route, and nothing where there is none."""
    shared = {"requests": 100, "per": "1m", "burst": 20, "by": "address", "shared": True}
    limited = settings(routes=[route(access="public", rate_limit=shared)])
    lines = explain(limited, "/", "GET", [])
    assert (
        "limit:    20 at once, then one every 0.6 s, by address, counted for all gateways together" in lines
    )
    lines = explain(settings(routes=[route(access="public")]), "/", "GET", [])
    assert not any(line.startswith("limit:") for line in lines)
