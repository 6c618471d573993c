"""Policies put together, what nobody knows, and what a refused person is told."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.config.settings.policies import Require
from gateway.core.reasons import Reason
from gateway.core.rules.policies import compile_require, judge, lacking, refused
from tests.support.pure import NOW, identity, request

STAFF = {"groups": ["staff"]}
NAMED = {
    "staff": STAFF,
    "office": {"any": [{"networks": ["10.0.0.0/8", "2001:db8::/32"]}, {"acr": ["gold"]}]},
    "both": {"policies": ["staff", "office"]},
    "told": {"description": "You have to work here.", "groups": ["staff"], "roles": ["hr"]},
}


def compiled(require: Any, default: Any = None) -> Any:
    """Compile a policy as it stands in a file."""
    adapter = TypeAdapter(Require)
    named = {name: adapter.validate_python(each) for name, each in NAMED.items()}
    outer = None if default is None else adapter.validate_python(default)
    return compile_require(adapter.validate_python(require), "groups", policies=named, default=outer)


def verdict(
    require: Any, claims: dict | None = None, client: str = "192.0.2.1", **more: Any
) -> Reason | None:
    """Judge alice."""
    req = request(*more.pop("headers", ()), method=more.pop("method", b"GET"))
    req.client = client
    who = identity(claims=claims or {}, scopes=frozenset(more.pop("scopes", "").split()))
    return judge(who, req, compiled(require, more.pop("default", None)), NOW)


def lack(require: Any, claims: dict | None = None, client: str = "192.0.2.1", **more: Any) -> Any:
    """Return what alice lacks."""
    req, known = request(), compiled(require, more.pop("default", None))
    req.client = client
    who = identity(claims=claims or {}, **more)
    why = refused(who, req, known, NOW)
    assert why is not None
    return lacking(who, req, known, why, NOW)


@pytest.mark.parametrize(
    ("require", "claims", "reason"),
    [
        ({"roles": ["hr", "it"]}, {"roles": ["it", "x"]}, None),
        ({"roles": ["hr"]}, {"roles": "hr"}, None),
        ({"roles": ["hr"]}, {"roles": ["HR", "hr ", ["hr"], {"hr": 1}, 1]}, Reason.ROLE_MISSING),
        ({"roles": ["hr"]}, {"roles": []}, Reason.ROLE_MISSING),
        ({"roles": ["hr"]}, {"groups": ["hr"]}, Reason.ROLE_MISSING),
        ({"claims": {"x": {"equals": "a"}}}, {"x": "a"}, None),
        ({"claims": {"x": {"equals": "a"}}}, {"x": ["a"]}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"equals": 1}}}, {"x": True}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"equals": True}}}, {"x": True}, None),
        ({"claims": {"x": {"equals": 1.5}}}, {"x": 1.5}, None),
        ({"claims": {"x": {"contains": "a"}}}, {"x": ["b", "a"]}, None),
        ({"claims": {"x": {"contains": "a"}}}, {"x": "a"}, None),
        ({"claims": {"x": {"contains": "a"}}}, {"x": "ba"}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"contains": "a"}}}, {"x": {"a": True}}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"contains": "a"}}}, {"x": [["a"]]}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"any_of": ["a", 1]}}}, {"x": [1]}, None),
        ({"claims": {"x": {"any_of": ["a", 1]}}}, {"x": "1"}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"all_of": ["a", "b"]}}}, {"x": ["c", "b", "a"]}, None),
        ({"claims": {"x": {"all_of": ["a", "b"]}}}, {"x": ["a"]}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x": {"all_of": ["a"]}}}, {"x": "a"}, None),
        ({"claims": {"x": {"matches": "E[0-9]{2}"}}}, {"x": "E12"}, None),
        ({"claims": {"x": {"matches": "E[0-9]{2}"}}}, {"x": ["a", "E12"]}, None),
        *(
            ({"claims": {"x": {"matches": "E[0-9]{2}"}}}, {"x": each}, Reason.CLAIM_MISMATCH)
            for each in (
                "xE12",
                "E123",
                "E12\n",
                "\nE12",
                "e12",
                "E1\u0662",
                12,
                True,
                {},
                "E12" + "0" * 9000,
            )
        ),
        ({"claims": {"x": {"matches": "[0-9]+", "any_of": ["1", "22"]}}}, {"x": "22"}, None),
        ({"claims": {"x": {"matches": "[0-9]+", "any_of": ["a"]}}}, {"x": "22"}, Reason.CLAIM_MISMATCH),
        ({"claims": {"x.y": {"matches": "a+"}}}, {"x": {"y": "aaa"}}, None),
        ({"claims": {"sub": {"matches": "al.*"}}}, {"sub": "bob"}, None),
        ({"claims": {"iss": {"matches": "https://evil.*"}}}, {"iss": "https://evil"}, Reason.CLAIM_MISMATCH),
    ],
)
def test_roles_and_conditions(require: dict, claims: dict, reason: Reason | None):
    """[11.1]: a claim, or a member of a list, compared whole and by type; absent, it refuses."""
    assert verdict(require, claims) is reason
    if "sub" not in require.get("claims", {}):
        assert verdict(require, {}) in (Reason.ROLE_MISSING, Reason.CLAIM_MISMATCH)


@pytest.mark.parametrize(
    ("client", "is_in"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        *(
            (each, None)
            for each in ("unknown", "", "10.0.0.1, 11.0.0.1", "10.0.0", "010.0.0.1", "fe80::1%lo")
        ),
    ],
)
def test_networks(client: str, is_in: bool | None):
    """[11.1]: by the client's address; where nobody knows it, it is neither within a network nor outside."""
    require = {"networks": ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]}
    assert verdict(require, client=client) is (None if is_in else Reason.NETWORK_FORBIDDEN)
    assert verdict({"not": require}, client=client) is (None if is_in is False else Reason.POLICY_UNMET)


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "::ffff:a00:0/104", "::ffff:10.0.0.1"])
def test_networks_of_ipv4_in_ipv6(network: str):
    """[11.1]: clients are known by their IPv4 address; written so, too, a network keeps them in or out."""
    keeps_out: dict[str, Any] = {"not": {"networks": [network]}}
    for client, is_in in (("10.0.0.1", True), ("::ffff:10.0.0.1", True), ("11.0.0.1", False)):
        assert verdict({"networks": [network]}, client=client) is (
            None if is_in else Reason.NETWORK_FORBIDDEN
        )
        assert verdict(keeps_out, client=client) is (Reason.POLICY_UNMET if is_in else None)


KNOWN: dict[str, Any] = {
    "groups": ["b"],
    "roles": ["b"],
    "x": "b",
    "email": "b@b.example",
    "email_verified": True,
    "acr": "b",
    "auth_time": NOW - 7200,
}
LEAVES: dict[str, dict[str, Any]] = {
    "groups": {"groups": ["a"]},
    "roles": {"roles": ["a"]},
    "value": {"claims": {"x": "a"}},
    "equals": {"claims": {"x": {"equals": "a"}}},
    "contains": {"claims": {"x": {"contains": "a"}}},
    "any_of": {"claims": {"x": {"any_of": ["a", "c"]}}},
    "all_of": {"claims": {"x": {"all_of": ["a", "b"]}}},
    "matches": {"claims": {"x": {"matches": "a+"}}},
    "address": {"claims": {"email": "a@a.example"}},
    "email_domains": {"email_domains": ["a.example"]},
    "acr": {"acr": ["a"]},
    "max_age": {"max_age": "1h"},
    "scopes": {"scopes": ["a"]},
    "networks": {"networks": ["10.0.0.0/8"]},
    "methods": {"methods": ["POST"]},
}
FACTS = {
    "groups": "groups",
    "roles": "roles",
    "address": "email",
    "email_domains": "email",
    "acr": "acr",
    "max_age": "auth_time",
}


@pytest.mark.parametrize("name", LEAVES)
def test_not_over_what_is_not_known_refuses(name: str):
    """[11.1]: each policy's opposite holds where its fact is there and contradicts it, never without it."""
    opposite = {"not": LEAVES[name]}
    known: dict[str, Any] = {"scopes": "b", "client": "192.0.2.1"}
    assert verdict(opposite, KNOWN, **known) is None
    fact = FACTS.get(name, "x")
    for less in (
        {each: value for each, value in KNOWN.items() if each != fact},
        {**KNOWN, fact: None},
        {**KNOWN, fact: {"a": "b"}},
        {**KNOWN, fact: [["b"]]},
        {**KNOWN, fact: 7 if fact != "auth_time" else "7"},
    ):
        expected = None if name in ("scopes", "networks", "methods") else Reason.POLICY_UNMET
        assert verdict(opposite, less, **known) is expected
    if fact == "email":
        for said in (None, False, "no", 1):
            assert verdict(opposite, {**KNOWN, "email_verified": said}, **known) is Reason.POLICY_UNMET
    if name == "scopes":
        assert verdict(opposite, KNOWN) is Reason.POLICY_UNMET
    if name == "networks":
        assert verdict(opposite, KNOWN, "unknown") is Reason.POLICY_UNMET
    if name == "methods":
        field = [(b"X-HTTP-Method-Override", b"POST")]
        assert verdict(opposite, KNOWN, headers=field, **known) is Reason.POLICY_UNMET


@pytest.mark.parametrize(
    ("require", "claims", "reason"),
    [
        ({"all": [STAFF, {"roles": ["hr"]}]}, {"groups": ["staff"], "roles": ["hr"]}, None),
        ({"all": [STAFF, {"roles": ["hr"]}]}, {"groups": ["staff"]}, Reason.ROLE_MISSING),
        ({"any": [STAFF, {"roles": ["hr"]}]}, {"roles": ["hr"]}, None),
        ({"any": [STAFF, {"roles": ["hr"]}]}, {"roles": ["x"]}, Reason.POLICY_UNMET),
        ({"any": [STAFF, {"groups": ["b"]}]}, {"groups": ["c"]}, Reason.GROUP_MISSING),
        ({"not": STAFF}, {"groups": []}, None),
        ({"not": STAFF}, {"groups": "boss"}, None),
        ({"not": STAFF}, {"groups": "staff"}, Reason.POLICY_UNMET),
        ({"not": {"groups": ["a"], "roles": ["a"]}}, {"groups": ["b"], "roles": ["a"]}, Reason.POLICY_UNMET),
        ({"not": {"groups": ["a"], "roles": ["a"]}}, {"groups": ["b"], "roles": ["b"]}, None),
        ({"not": {"all": [{"groups": ["a"]}, {"roles": ["a"]}]}}, {"groups": ["b"], "roles": ["a"]}, None),
        ({"not": {"all": [{"groups": ["a"]}, {"roles": ["a"]}]}}, {"groups": ["b"]}, None),
        ({"not": {"all": [{"groups": ["a"]}, {"roles": ["a"]}]}}, {"roles": ["a"]}, Reason.POLICY_UNMET),
        ({"not": {"any": [{"groups": ["a"]}, {"roles": ["a"]}]}}, {"groups": ["b"]}, Reason.POLICY_UNMET),
        ({"not": {"not": STAFF}}, {"groups": ["staff"]}, None),
        ({"not": {"not": STAFF}}, {"groups": ["b"]}, Reason.POLICY_UNMET),
        ({"not": {"not": STAFF}}, {}, Reason.POLICY_UNMET),
        ({"any": [{"not": {"roles": ["x"]}}, STAFF]}, {"groups": ["staff"]}, None),
        ("staff", {"groups": ["staff"]}, None),
        ("staff", {"groups": ["x"]}, Reason.GROUP_MISSING),
        ({"policies": ["staff"], "roles": ["hr"]}, {"groups": ["staff"]}, Reason.ROLE_MISSING),
        ("both", {"groups": ["staff"], "acr": "gold"}, None),
        ("both", {"groups": ["x"], "acr": "gold"}, Reason.GROUP_MISSING),
        ({"not": "staff"}, {"groups": ["x"]}, None),
        ({"any": ["staff", {"roles": ["hr"]}]}, {"roles": ["hr"]}, None),
        ({"any": [{"any": [{"any": [{"all": [{"not": STAFF}]}]}]}]}, {"groups": ["x"]}, None),
    ],
)
def test_put_together(require: Any, claims: dict, reason: Reason | None):
    """[11.1]: all, any and not, in one another, and by name."""
    assert verdict(require, claims) is reason


def test_a_default_for_every_route_is_asked_beside_its_own():
    """[11.1]: neither replaces the other."""
    for claims, reason in (
        ({"groups": ["staff"], "roles": ["hr"]}, None),
        ({"groups": ["staff"]}, Reason.ROLE_MISSING),
        ({"roles": ["hr"]}, Reason.GROUP_MISSING),
    ):
        assert verdict({"roles": ["hr"]}, claims, default="staff") is reason


def test_another_login_is_asked_for_last():
    """[11.1]: of nobody whom something else keeps out, wherever it stands."""
    for require, default in (
        ({"acr": ["gold"], "any": [STAFF, {"roles": ["hr"]}]}, None),
        ({"groups": ["staff"]}, {"acr": ["gold"]}),
        ({"all": [{"acr": ["gold"]}, STAFF]}, None),
        ({"policies": ["office"], "roles": ["hr"]}, None),
    ):
        assert verdict(require, {"acr": "x"}, default=default) not in (None, Reason.AUTHENTICATION_TOO_WEAK)


def test_a_branch_that_another_login_satisfies():
    """[11.1]: in an ``any``, whoever could come in by a stronger login is asked for it (RFC 9470)."""
    require = {"policies": ["staff"], "any": ["office", {"all": [{"acr": ["lead"]}, {"max_age": "1m"}]}]}
    assert verdict(require, {"groups": ["staff"]}) is Reason.AUTHENTICATION_TOO_WEAK
    assert verdict(require, {"groups": ["staff"]}, "10.1.1.1") is None
    assert lack(require, {"groups": ["staff"]}).challenge.acr_values == ("gold",)
    # what only a branch asks for is not asked for at the first login
    assert compiled(require).acr_values == ()
    assert compiled({"all": [{"acr": ["gold", "lead"]}, {"acr": ["lead"], "max_age": "90s"}]}).acr_values == (
        "lead",
    )
    assert compiled({"all": [{"max_age": "2m"}, {"max_age": "90s"}]}).max_age == 90
    assert compiled({"all": [{"scopes": ["a", "b"]}, {"scopes": ["b", "c"]}]}).scopes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("require", "words"),
    [
        ({"groups": ["staff"]}, ["the group staff"]),
        ({"groups": ["a", "b", "c"]}, ["one of the groups a, b or c"]),
        ({"roles": ["hr"]}, ["the role hr"]),
        ({"scopes": ["a", "b"]}, ["the scopes a and b"]),
        ({"email_domains": ["a.example"]}, ["a verified e-mail address of a.example"]),
        ({"networks": ["10.0.0.0/8"]}, ["a connection from a network that is let in here"]),
        ({"claims": {"country": "secret"}}, ["the claim country, as required here"]),
        ({"claims": {"a": {"matches": "secret"}, "b": 1}}, ["the claims a and b, as required here"]),
        ({"acr": ["gold"], "max_age": "1h"}, ["a stronger login", "a more recent login"]),
        ({"groups": ["a"], "roles": ["b"]}, ["the group a", "the role b"]),
        ({"any": [{"groups": ["a"]}, {"roles": ["b"]}]}, ["the group a, or the role b"]),
        ({"any": [{"all": [{"groups": ["a"]}, {"roles": ["b"]}]}]}, ["the group a, and the role b"]),
        ({"not": {"groups": ["suspended"]}}, ["an account that is not kept out here"]),
        ({"not": {"groups": ["x"], "description": "a good name"}}, ["a good name"]),
        ("told", ["You have to work here."]),
        ({"policies": ["told"], "roles": ["x"]}, ["the role x", "You have to work here."]),
        ({"any": ["told", {"roles": ["x"]}]}, ["You have to work here, or the role x"]),
        (
            {"policies": ["staff", "both"]},
            ["the group staff", "a connection from a network that is let in here, or"],
        ),
    ],
)
def test_what_is_missing(require: Any, words: list[str]):
    """[11.1]: in words, for each line that is not satisfied; no value of a claim, no network, no ``not``."""
    found = lack(require).words
    assert len(found) == len(words)
    assert all(each.startswith(start) for each, start in zip(found, words, strict=True))
    assert "secret" not in str(found)
    assert "10.0" not in str(found)


def test_only_what_is_missing_is_told():
    """[11.1]: what somebody has is not."""
    require = {"groups": ["a"], "roles": ["b"], "all": [{"claims": {"x": 1}}]}
    assert lack(require, {"roles": ["b"], "x": 1}).words == ("the group a",)


def test_what_is_told_is_bounded():
    """[11.1]: long names and many lines make no long page."""
    many = [{"groups": ["g" * 4096] * 50}, *({"roles": [f"r{number}"]} for number in range(100))]
    found = lack({"all": many}).words
    assert len(found) == 20
    assert max(map(len, found)) == 300
    assert len(lack({"any": many}).words[0]) == 300


def test_a_policy_of_ones_own_is_not_turned_around():
    """[11.1]: one that says of nobody that it is known not to hold lets nobody in by a ``not``."""
    from gateway.core.rules.verdict import denied, none_of, one_of

    def plain(*_: object) -> Reason:
        return Reason.CLAIM_MISMATCH

    def knowing(*_: object) -> Any:
        return denied(Reason.CLAIM_MISMATCH)

    who = (identity(), request(), NOW)
    assert none_of([plain])(*who) is Reason.POLICY_UNMET
    assert none_of([knowing, plain])(*who) is Reason.POLICY_UNMET
    assert none_of([knowing])(*who) is None
    assert none_of([])(*who) is not None
    assert none_of([one_of([knowing, plain])])(*who) is Reason.POLICY_UNMET
    assert none_of([one_of([knowing, knowing])])(*who) is None


@pytest.mark.parametrize("name", [*LEAVES, "any", "all", "not", "named"])
def test_what_is_said_to_read_the_identity_alone_does(name: str):
    """[11.1]: what is remembered of an identity was read from nothing else: no request, no clock."""
    section = LEAVES.get(name) or {
        "any": {"any": [LEAVES["groups"], LEAVES["networks"]]},
        "all": {"any": [{"all": [LEAVES["groups"], LEAVES["max_age"]]}]},
        "not": {"not": {"not": LEAVES["methods"]}},
        "named": {"not": "office"},
    }.get(name)
    known = compiled(section)
    reads_more = name in ("networks", "methods", "max_age", "any", "all", "not", "named")
    assert known.each_time == (known.checks if reads_more else ())
    if not reads_more:
        for check in known.checks:
            assert check(identity(claims=KNOWN, scopes=frozenset("b")), None, None) is not None
