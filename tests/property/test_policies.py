"""Properties of policies, however they are put together."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.config.settings.policies import Require
from gateway.core.headers.request import Request
from gateway.core.rules.policies import compile_require, judge, lacking, refused
from tests.support.pure import NOW, identity, request

WORDS = st.sampled_from(["a", "b", "c"])
LISTS = st.lists(WORDS, min_size=1, max_size=2)
SCALARS = WORDS | st.booleans() | st.integers(0, 1)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "equals": SCALARS,
        "contains": SCALARS,
        "any_of": st.lists(SCALARS, min_size=1, max_size=2),
        "all_of": st.lists(SCALARS, min_size=1, max_size=2),
        "matches": st.sampled_from(["a", "[ab]", ".*", "(?i)C"]),
    },
).filter(bool)
NAMES = st.sampled_from(["a", "b", "x.y", "x.email", "email", "iss", "sub"])
LINES: dict[str, st.SearchStrategy[Any]] = {
    "scopes": LISTS,
    "groups": LISTS,
    "roles": LISTS,
    "claims": st.dictionaries(
        NAMES, SCALARS | st.lists(SCALARS, min_size=1, max_size=2) | CONDITIONS, min_size=1, max_size=2
    ),
    "email_domains": st.lists(st.sampled_from(["a.example", "b.example"]), min_size=1, max_size=2),
    "networks": st.lists(st.sampled_from(["192.0.2.0/25", "2001:db8::/32"]), min_size=1, max_size=2),
    "methods": st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=2),
    "acr": LISTS,
    "max_age": st.sampled_from(["1s", "1h"]),
    "policies": st.just(["named"]),
}


def lines_of(names: list[str], most: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Return policies of few lines: most of what has many refuses in any case."""
    few = st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True)
    return few.flatmap(lambda chosen: st.fixed_dictionaries({name: LINES[name] for name in chosen}))


PLAIN = lines_of(sorted(LINES))


def put_together(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Put policies together."""
    several = st.lists(inner, min_size=1, max_size=2)
    return st.one_of(
        st.builds(lambda parts: {"all": parts}, several),
        st.builds(lambda parts: {"any": parts}, several),
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda part, more: {**more, "not": part}, inner, PLAIN),
    )


REQUIRES = st.recursive(PLAIN, put_together, max_leaves=4)
NAMED = lines_of(sorted(LINES.keys() - {"policies"}))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
ADDRESSES = st.sampled_from(["a", "x@a.example", "x@c.example", "x@a.example@b.example"])
VERIFIED = st.sampled_from([True, False, None, "true", 1])
INNER = st.fixed_dictionaries({}, optional={"y": JSON, "email": ADDRESSES, "email_verified": VERIFIED})
GOOD = st.fixed_dictionaries(
    {
        **dict.fromkeys(("a", "b", "acr"), WORDS),
        **dict.fromkeys(("groups", "roles"), st.lists(WORDS, max_size=2) | WORDS),
        "x": st.fixed_dictionaries({"y": WORDS, "email": WORDS, "email_verified": VERIFIED}),
        "email": ADDRESSES,
        "email_verified": VERIFIED,
        "auth_time": st.sampled_from([NOW, NOW - 60, NOW - 7200]),
    }
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("a", "b", "groups", "roles", "acr", "auth_time", "email"), JSON),
        "x": INNER | JSON,
        "email_verified": VERIFIED,
    },
)
CLAIMS = GOOD | st.builds(lambda good, odd: {**good, **odd}, GOOD, ODD) | ODD
METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"\xff"])
CLIENTS = st.sampled_from(["192.0.2.1", "192.0.2.200", "2001:db8::1", "::1", "unknown", ""])
OVERRIDES = st.lists(st.sampled_from([(b"X-HTTP-Method", b"PUT"), (b"X-HTTP-Method", b"GET")]), max_size=1)
SCOPES = st.frozensets(WORDS)


def asked(method: bytes, client: str, fields: list[tuple[bytes, bytes]]) -> Request:
    """Return a request of a client."""
    found = request(*fields, method=method)
    found.client = client
    return found


REQUESTS = st.builds(asked, METHODS, CLIENTS, OVERRIDES)


def section(data: dict[str, Any] | None) -> Any:
    """Return the settings of a policy."""
    return None if data is None else TypeAdapter(Require).validate_python(data)


def verdict(
    require: dict[str, Any],
    named: dict[str, Any],
    claims: dict[str, Any],
    scopes: frozenset[str],
    req: Request,
    default: dict[str, Any] | None = None,
) -> Any:
    """Judge an identity; what it lacks can be told as well, and what is remembered changes nothing."""
    policies = {"named": section(named)}
    compiled = compile_require(section(require), "groups", policies=policies, default=section(default))
    who = identity(claims=claims, scopes=scopes)
    found = refused(who, req, compiled, NOW)
    if found is not None:
        lack = lacking(who, req, compiled, found, NOW)
        assert all(each and len(each) <= 300 for each in lack.words)
    reason = None if found is None else found.reason
    assert judge(who, req, compiled, NOW) is reason
    return reason


@given(REQUIRES, REQUIRES, NAMED, CLAIMS, SCOPES, REQUESTS)
def test_adding_a_policy_never_turns_a_refusal_into_a_pass(require, more, named, claims, scopes, req):
    """[11.1]: whatever lines are added, whoever was refused stays refused.

    To a policy or to what it says ``not`` of, to every part of an ``all``, or for all routes.
    """
    before = verdict(require, named, claims, scopes, req)
    assume(before is not None)
    assert verdict({**more, **require}, named, claims, scopes, req) is not None
    assert verdict({"all": [require, more]}, named, claims, scopes, req) is not None
    assert verdict(require, named, claims, scopes, req, default=more) is not None
    assert verdict(more, named, claims, scopes, req, default=require) is not None
    if "not" in require:
        narrower = {**require, "not": {**more, **require["not"]}}
        assert verdict(narrower, named, claims, scopes, req) is not None
    elif "any" in require:
        narrower = {**require, "any": [{"all": [each, more]} for each in require["any"]]}
        assert verdict(narrower, named, claims, scopes, req) is not None


@given(REQUIRES, NAMED, CLAIMS, SCOPES, REQUESTS)
@settings(max_examples=200)
def test_taking_a_claim_away_lets_nobody_in(require, named, claims, scopes, req):
    """[11.1]: nor taking away the scopes, or knowing the client's address no longer; ``not`` is no way in."""
    assume(verdict(require, named, claims, scopes, req) is not None)
    for name in claims:
        less = {each: value for each, value in claims.items() if each != name}
        assert verdict(require, named, less, scopes, req) is not None
    if isinstance(claims.get("x"), dict):
        for name in claims["x"]:
            inner = {each: value for each, value in claims["x"].items() if each != name}
            assert verdict(require, named, {**claims, "x": inner}, scopes, req) is not None
    assert verdict(require, named, claims, frozenset(), req) is not None
    req.client = "unknown"
    assert verdict(require, named, claims, scopes, req) is not None


@given(REQUIRES, NAMED, CLAIMS, SCOPES, REQUESTS)
def test_nobody_satisfies_a_policy_and_its_opposite(require, named, claims, scopes, req):
    """[11.1]: twice ``not`` is the policy itself; once is never more than what the policy leaves."""
    plain = verdict({"all": [require]}, named, claims, scopes, req)
    opposite = verdict({"not": {"all": [require]}}, named, claims, scopes, req)
    assert plain is not None or opposite is not None
    twice = verdict({"not": {"not": {"all": [require]}}}, named, claims, scopes, req)
    assert (twice is None) == (plain is None)


COMPLETE = st.fixed_dictionaries(
    {
        **dict.fromkeys(("groups", "roles"), st.lists(WORDS, max_size=2)),
        "a": WORDS,
        "acr": WORDS,
        "auth_time": st.sampled_from([NOW, NOW - 7200]),
    }
)
BOOLEAN: dict[str, st.SearchStrategy[Any]] = {
    "groups": LISTS,
    "roles": LISTS,
    "acr": LISTS,
    "max_age": st.just("1h"),
    "claims": st.fixed_dictionaries({"a": LISTS}),
}


LEAF = st.sampled_from(sorted(BOOLEAN)).flatmap(lambda name: st.fixed_dictionaries({name: BOOLEAN[name]}))


def two_valued(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Put policies together, of which everything is known."""
    several = st.lists(inner, min_size=1, max_size=3)
    lines = {"all": several, "any": several, "not": inner}
    names = st.lists(st.sampled_from(sorted(lines)), min_size=1, max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: lines[name] for name in chosen}))


def holds(require: dict[str, Any], claims: dict[str, Any]) -> list[bool]:
    """Return of each line whether it holds, by plain logic."""
    line = {
        "groups": lambda wanted: bool(set(wanted) & set(claims["groups"])),
        "roles": lambda wanted: bool(set(wanted) & set(claims["roles"])),
        "acr": lambda wanted: claims["acr"] in wanted,
        "max_age": lambda _: claims["auth_time"] == NOW,
        "claims": lambda wanted: claims["a"] in wanted["a"],
        "all": lambda parts: all(all(holds(each, claims)) for each in parts),
        "any": lambda parts: any(all(holds(each, claims)) for each in parts),
        "not": lambda part: not any(holds(part, claims)),
    }
    return [line[name](wanted) for name, wanted in require.items()]


@given(st.recursive(LEAF, two_valued, max_leaves=8), COMPLETE)
def test_where_everything_is_known_it_is_plain_logic(require, claims):
    """[11.1]: of whom every claim is there, ``all``, ``any`` and ``not`` say what these words say."""
    found = verdict(require, {"acr": ["a"]}, claims, frozenset(), asked(b"GET", "192.0.2.1", []))
    assert (found is None) == all(holds(require, claims))
