"""What is wrong with policies in a file, and where it says so."""

import re
from typing import Any

import pytest
import yaml

from gateway.config.checks.every import warn
from gateway.config.checks.problems import shown_path
from gateway.config.settings.root import Settings
from gateway.core.rules.policies import POLICIES
from gateway.core.runtime import compile_settings
from gateway.core.runtime import problems as check
from tests.support import pure
from tests.support.configuration import KEY, TREE

ROUTE = {"path": "/"}


def settings(*routes: dict[str, Any], **changes: Any) -> Settings:
    """Return settings without a fault of their own."""
    return pure.settings(*routes, **{"secret_keys": [KEY], **changes})


def found(policies: dict[str, Any] | None = None, require: Any = None, **more: Any) -> list[str]:
    """Return where there are problems: of named policies, of a route's own, and of whatever else is given."""
    route = {**ROUTE, **({} if require is None else {"require": require}), **more.pop("route", {})}
    return [shown_path(each.path) for each in check(settings(route, policies=policies or {}, **more))]


def warned(policies: dict[str, Any], *routes: dict[str, Any], **more: Any) -> list[str]:
    """Return where there are warnings."""
    return [shown_path(each.path) for each in warn(settings(*routes, policies=policies, **more))]


@pytest.mark.parametrize(
    ("require", "path"),
    [
        ({}, ""),
        ({"description": "x"}, ""),
        ({"all": [{}]}, ".all[0]"),
        ({"any": [{"groups": ["a"]}, {}]}, ".any[1]"),
        ({"not": {}}, ".not"),
        ({"not": {"any": [{"not": {}}]}}, ".not.any[0].not"),
        ({"groups": ["a"], "scopes": ["a b"]}, ".scopes[0]"),
        ({"any": [{"methods": ["get"]}]}, ".any[0].methods[0]"),
        ({"methods": ["GET", "CONNECT"]}, ".methods[1]"),
        *(
            ({"email_domains": ["a.example", each]}, ".email_domains[1]")
            for each in ("@a.example", "a@b", "*.a")
        ),
        *(
            ({"networks": [each]}, ".networks[0]")
            for each in ("x", "10.0.0.1/8", "10.0.0", "0.0.0.0/0", "::/0")
        ),
        ({"networks": ["0.0.0.0/1", "128.0.0.0/1"]}, ".networks"),
        ({"claims": {"a": {}}}, ".claims.a"),
        ({"claims": {"a": {"equals": None}}}, ".claims.a"),
        ({"any": [{"claims": {"a": {"matches": "("}}}]}, ".any[0].claims.a.matches"),
        ({"policies": ["staf"]}, ".policies[0]"),
        ("staf", ".policies[0]"),
        ({"not": "staf"}, ".not.policies[0]"),
    ],
)
def test_each_fault_is_found_at_its_setting(require: Any, path: str):
    """[11.1]: in a route's own policy, in that of all routes, and in one with a name."""
    assert found({"staff": {"groups": ["a"]}}, require) == [f"routes[0].require{path}"]
    data = {"staff": {"groups": ["a"]}, "other": require}
    assert found(data) == [f"policies.other{path}"]
    with_default = settings(ROUTE, policies={"staff": {"groups": ["a"]}}, require=require)
    assert [shown_path(each.path) for each in check(with_default)] == [f"require{path}"]
    with pytest.raises(ValueError, match="require"):
        compile_settings(with_default)


@pytest.mark.parametrize(
    "policies",
    [
        {"a": "a"},
        {"a": "b", "b": {"not": "a"}},
        {"a": {"any": ["b", {"groups": ["x"]}]}, "b": {"all": [{"not": {"policies": ["c"]}}]}, "c": "a"},
    ],
)
def test_a_policy_that_leads_back_to_itself(policies: dict[str, Any]):
    """[11.1]: straight or by a detour, it is an error, and no endless work."""
    assert set(found(policies)) == {f"policies.{name}" for name in policies}
    with pytest.raises(ValueError, match="back to itself"):
        compile_settings(settings({**ROUTE, "require": "a"}, policies=policies))


def test_policies_are_bounded():
    """[11.1]: however they are nested, and however often one names another."""
    leaf = {"groups": ["x"]}
    deep: Any = leaf
    for _ in range(25):
        deep = {"not": deep}
    assert found({"deep": deep}) == ["policies.deep"]
    chain: dict[str, Any] = {f"p{number}": f"p{number + 1}" for number in range(900)}
    assert "policies.p0" in found({**chain, "p900": leaf})
    assert "policies.p895" not in found({**chain, "p900": leaf})
    doubled: dict[str, Any] = {f"p{number}": {"all": [f"p{number + 1}"] * 2} for number in range(15)}
    assert "policies.p0" in found({**doubled, "p15": leaf})
    wide = {"any": [leaf] * 400}
    assert found({"wide": wide}) == []
    assert found({"wide": wide, "wider": {"any": ["wide", "wide", "wide"]}}) == ["policies.wider"]


def test_names_of_policies_and_of_whom_to_ask():
    """[11.1]: a name is a plain word, and a page shows no control characters."""
    leaf = {"groups": ["x"]}
    assert found({"a b": leaf}) == ["policies.?"]
    assert found({}, contact="a\nb") == ["contact"]
    assert found({}, route={"contact": "a\x00"}) == ["routes[0].contact"]
    assert found({}, roles_claim="a b") == ["roles_claim"]


def test_an_exact_path_is_a_path_of_its_own():
    """[11.1] R56: beside a prefix of the same path; twice is too often, and nothing below goes on raw."""
    both = settings({"path": "/x", "exact": True}, {"path": "/x"}, {"path": "/x/", "exact": True})
    assert check(both) == []
    twice = settings({"path": "/x", "exact": True}, {"path": "/x", "exact": True})
    assert [shown_path(each.path) for each in check(twice)] == ["routes[1].path"]
    assert found({}, route={"path": "/x", "exact": True, "raw_path": True}) == ["routes[0].raw_path"]
    rivals = settings({"path": "/x/", "raw_path": True}, {"path": "/x", "exact": True})
    assert [shown_path(each.path) for each in check(rivals)] == ["routes[0].raw_path"]


def test_what_is_hardly_meant():
    """[11.1]: policies that nobody asks for, defaults left out that there are not, addresses by a pattern."""
    leaf = {"groups": ["x"]}
    assert warned({"a": leaf, "b": "a"}, {**ROUTE, "require": {"not": "b"}}) == []
    assert warned({"a": leaf}, ROUTE) == ["policies.a"]
    assert warned({}, {**ROUTE, "default_require": False}) == ["routes[0].default_require"]
    assert warned({}, {**ROUTE, "default_require": False}, require=leaf) == []
    pattern = {"claims": {"x.email": {"matches": ".*@a.example"}}}
    assert "routes" in warned({}, {**ROUTE, "require": {"any": [pattern, leaf]}})
    twins = ({"path": "/x", "exact": True}, {"path": "/x/", "access": "public"})
    assert warned({}, *twins) == ["routes[0].exact"]
    assert warned({}, twins[0], {"path": "/x/"}) == []


def test_what_policies_read_is_kept_of_a_session():
    """[11.1]: claims of policies by name, within others and for all routes; those of no route are not."""
    known = compile_settings(
        settings(
            {**ROUTE, "require": {"any": ["named", {"not": {"claims": {"deep.down": 1}}}]}},
            policies={
                "named": {"roles": ["x"], "claims": {"by_name": "x", "person.email": "a"}},
                "unused": {"claims": {"unused": "x"}},
            },
            require={"email_domains": ["a.example"]},
            roles_claim="realm_access.roles",
        )
    )
    kept = known.providers["corporate"].kept_claims
    assert {"by_name", "deep", "deep.down", "realm_access", "email", "email_verified", "person"} <= kept
    assert "unused" not in kept


def test_policies_arrive_at_workers_as_they_were_read():
    """[11.1]: with names that are words of Python, names for sections, and values by type."""
    import json

    from gateway.supervision.messages import decode_settings, encode_settings

    sent = settings(
        {
            **ROUTE,
            "require": {"any": ["a", {"not": {"groups": ["x"]}}], "claims": {"a": True, "b": [1, "1"]}},
        },
        policies={"a": {"claims": {"c": {"any_of": [1, "1", True], "matches": "x"}}}, "b": "a"},
        require="b",
        contact="it@example.com",
    )
    arrived: Settings = decode_settings(json.loads(json.dumps(encode_settings(sent))))
    assert arrived == sent
    assert arrived.routes[0].require is not None
    assert arrived.routes[0].require.any is not None
    assert arrived.routes[0].require.any[1].not_ is not None


def test_the_examples_are_good():
    """[11.1]: what docs/policies.md shows, and config/gateway.yaml has in comments, is a configuration."""
    page = (TREE / "docs/policies.md").read_text(encoding="utf-8")
    shown = re.search(r"\n\n((?:    .*\n)+)", page)
    assert shown is not None
    reference = (TREE / "config/gateway.yaml").read_text(encoding="utf-8")
    begin, end = reference.index("# policies:\n"), reference.index("# contact: it@example.com\n")
    lines = reference[begin:end].splitlines()
    commented = "\n".join(line[2:] for line in lines if re.match(r"# (?:policies:| |require: )", line))
    for text in (
        shown[1],
        commented + "\nroutes: [{path: /, require: writers, upstream: app, access: required}]",
    ):
        data = yaml.safe_load(text)
        routes = data.pop("routes")
        known = settings(*routes, **data)
        assert check(known) == []
        assert [each.path for each in warn(known) if "polic" in str(each.path)] == []
    assert set(yaml.safe_load(commented)["policies"]["writers"]) >= POLICIES.keys() - {
        "groups",
        "email_domains",
    }
