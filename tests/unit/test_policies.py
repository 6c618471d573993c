"""Policies, one by one and together."""

from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.settings.base import written_names
from gateway.config.settings.policies import Require, RequireSettings
from gateway.core.email import claims_of, domain_of
from gateway.core.headers.request import Request
from gateway.core.identity import find_claim
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.rules.policies import POLICIES, compile_require, judge
from tests.support.pure import NOW, identity, request


@pytest.mark.parametrize(
    ("claims", "is_in"),
    [
        ({"email": "a@example.com", "email_verified": True}, True),
        ({"email": "a@EXAMPLE.com", "email_verified": "true"}, True),
        ({"email": "a@example.com"}, False),
        ({"email": "a@example.com", "email_verified": False}, False),
        ({"email": "a@example.com", "email_verified": "false"}, False),
        ({"email": "a@example.com", "email_verified": 1}, False),
        ({"email": "a@example.com", "email_verified": [True]}, False),
        ({"email": "a@sub.example.com", "email_verified": True}, False),
        ({"email": "a@notexample.com", "email_verified": True}, False),
        ({"email": "a@example.com.evil.example", "email_verified": True}, False),
        ({"email": '"a@evil.example"@example.com', "email_verified": True}, False),
        ({"email": "a@evil.example\n@example.com", "email_verified": True}, False),
        ({"email": "a@\u0435xample.com", "email_verified": True}, False),
        ({"email": "@example.com", "email_verified": True}, False),
        ({"email": "example.com", "email_verified": True}, False),
        ({"email": ["a@example.com"], "email_verified": True}, False),
        ({"email_verified": True}, False),
        ({}, False),
    ],
)
def test_r80_domains_of_verified_addresses(claims: dict, is_in: bool):
    """R80 [1.18]: a domain rule holds for an address that the provider calls verified, and for no other."""
    expected = None if is_in else Reason.CLAIM_MISMATCH
    assert verdict({"email_domains": ["Example.com", "other.example"]}, claims) is expected


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ({}, False),
        ({"email_verified": True}, True),
        ({"email_verified": "true"}, True),
        ({"email_verified": None}, False),
        *(({"email_verified": each}, False) for each in (False, 0, 1, "no", "", [True])),
    ],
)
def test_r80_rules_on_addresses(said: dict, holds: bool):
    """R80 [1.18] [11.1]: a rule that names an address does not hold for somebody who only entered it.

    Nor does the opposite of one, and silence of the provider is no yes.
    """
    found = verdict({"claims": {"email": "a@example.com"}}, {"email": "a@example.com", **said})
    assert found is (None if holds else Reason.CLAIM_MISMATCH)
    inside = {"person": {"email": "a@example.com", **said}}
    assert verdict({"claims": {"person.email": "a@example.com"}}, inside) is found
    other = verdict({"not": {"claims": {"email": "b@example.com"}}}, {"email": "a@example.com", **said})
    assert other is (None if holds else Reason.POLICY_UNMET)


@pytest.mark.parametrize(("mode", "is_in"), [("check", False), ("assume", True), ("ignore", False)])
def test_r80_addresses_that_are_assumed_to_be_verified(mode: str, is_in: bool):
    """R80 [1.18]: only where the provider is said to verify every address does its silence count."""
    settings = SimpleNamespace(email_verified=mode)
    provider = cast("Provider", SimpleNamespace(settings=settings))
    claims = claims_of(provider.settings, {"email": "a@example.com"})
    assert (domain_of(claims) == "example.com") == is_in
    denied = claims_of(provider.settings, {"email": "a@example.com", "email_verified": False})
    assert domain_of(denied) is None


def request_of(client: str, *headers: tuple[bytes, bytes], **more) -> Request:
    """Return a request of a client."""
    found = request(*headers, **more)
    found.client = client
    return found


def verdict(require: dict, claims: dict | None = None, scopes: str = "", **req) -> Reason | None:
    """Judge alice with these claims and scopes."""
    section = TypeAdapter(Require).validate_python(require)
    compiled = compile_require(section, "groups", policies=req.pop("policies", None))
    who = identity(claims=claims or {}, scopes=frozenset(scopes.split()))
    asked = request_of(req.pop("client", "192.0.2.1"), *req.pop("headers", ()), **req)
    return judge(who, asked, compiled, NOW)


@pytest.mark.parametrize(
    ("require", "claims", "scopes", "reason"),
    [
        ({"scopes": ["api"]}, {}, "api", None),
        ({"scopes": ["api", "write"]}, {}, "api", Reason.SCOPE_MISSING),
        ({"scopes": ["api"]}, {}, "", Reason.SCOPE_MISSING),
        ({"scopes": ["api"]}, {"scope": "api"}, "apis API", Reason.SCOPE_MISSING),
        ({"groups": ["a", "b"]}, {"groups": ["b", "c"]}, "", None),
        ({"groups": ["a"]}, {"groups": "a"}, "", None),
        ({"groups": ["a"]}, {"groups": "b,a"}, "", Reason.GROUP_MISSING),
        ({"groups": ["a"]}, {"groups": ["b,a", "A", " a"]}, "", Reason.GROUP_MISSING),
        ({"groups": ["a"]}, {"groups": []}, "", Reason.GROUP_MISSING),
        ({"groups": ["a"]}, {"groups": None}, "", Reason.GROUP_MISSING),
        ({"groups": ["a"]}, {"groups": {"a": True}}, "", Reason.GROUP_MISSING),
        ({"groups": ["a"]}, {"groups": [["a"], {"a": "a"}, 1, None]}, "", Reason.GROUP_MISSING),
        ({"groups": ["a"]}, {"roles": ["a"]}, "", Reason.GROUP_MISSING),
        ({"claims": {"x": "1"}}, {"x": "1"}, "", None),
        ({"claims": {"x": "1"}}, {"x": 1}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": 1}}, {"x": 1}, "", None),
        ({"claims": {"x": 1}}, {"x": 1.0}, "", None),
        ({"claims": {"x": 1}}, {"x": True}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": True}}, {"x": True}, "", None),
        ({"claims": {"x": True}}, {"x": 1}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": True}}, {"x": "true"}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": False}}, {}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": False}}, {"x": 0}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": ["a", "b"]}}, {"x": "b"}, "", None),
        ({"claims": {"x": "a"}}, {"x": ["c", "a"]}, "", None),
        ({"claims": {"x": "a"}}, {"x": ["ca"]}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x": "a", "y": "b"}}, {"x": "a"}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x.y": "a"}}, {"x": {"y": ["a"]}}, "", None),
        ({"claims": {"x.y": "a"}}, {"x.y": "a"}, "", None),
        ({"claims": {"x.y": "a"}}, {"x": ["y"]}, "", Reason.CLAIM_MISMATCH),
        ({"claims": {"x.y": "a"}}, {"x.y": "b", "x": {"y": "a"}}, "", Reason.CLAIM_MISMATCH),
        ({"acr": ["gold", "silver"]}, {"acr": "silver"}, "", None),
        ({"acr": ["gold"]}, {"acr": ["gold"]}, "", Reason.AUTHENTICATION_TOO_WEAK),
        ({"acr": ["gold"]}, {}, "", Reason.AUTHENTICATION_TOO_WEAK),
        ({"max_age": "1h"}, {"auth_time": NOW - 3600}, "", None),
        ({"max_age": "1h"}, {"auth_time": NOW - 3601}, "", Reason.AUTHENTICATION_TOO_OLD),
        ({"max_age": "1h"}, {"auth_time": NOW + 10}, "", None),
        ({"max_age": "1h"}, {"auth_time": NOW + 1000}, "", Reason.AUTHENTICATION_TOO_OLD),
        ({"max_age": "1h"}, {}, "", Reason.AUTHENTICATION_TOO_OLD),
        ({"max_age": "1h"}, {"auth_time": str(NOW)}, "", Reason.AUTHENTICATION_TOO_OLD),
        ({"max_age": "1h"}, {"auth_time": True}, "", Reason.AUTHENTICATION_TOO_OLD),
        ({"max_age": "1h"}, {"auth_time": float("nan")}, "", Reason.AUTHENTICATION_TOO_OLD),
        ({"groups": ["a"], "acr": ["gold"]}, {}, "", Reason.GROUP_MISSING),
    ],
)
def test_table(require: dict, claims: dict, scopes: str, reason: Reason | None):
    """What each policy says of an identity; values are compared whole and by type."""
    assert verdict(require, claims, scopes) is reason


@pytest.mark.parametrize(
    ("wanted", "held", "holds"),
    [
        ([True, "true"], True, True),
        ([True, "true"], "true", True),
        ([True, "true"], 1, False),
        ([True, "true"], "True", False),
        ([True, "true"], [False, "true"], True),
        ([1, "1"], "1", True),
        ([1, "1"], True, False),
        ([False, 0], 0, True),
        ([0], False, False),
        ([1.5, 2], 1.5, True),
        ([1.5, 2], 2.0, True),
        (1.5, 1.5, True),
        (1.5, "1.5", False),
        ([True], None, False),
        ([False], None, False),
        ([1], float("nan"), False),
    ],
)
def test_lists_of_any_scalars(wanted: object, held: object, holds: bool):
    """[2.20]: several wanted values may be of several types, and each is compared by its own."""
    found = verdict({"claims": {"x": wanted}}, {"x": held})
    assert found is (None if holds else Reason.CLAIM_MISMATCH)


@pytest.mark.parametrize("wanted", [None, [None], [], [[True]], {"a": 1}, [float("nan")], float("inf"), ""])
def test_no_value_that_could_never_hold(wanted: object):
    """[2.20]: null says that a claim is absent, and an empty list names nothing: neither is a requirement."""
    with pytest.raises(ValueError, match="claims"):
        RequireSettings.model_validate({"claims": {"x": wanted}})


@pytest.mark.parametrize(
    ("methods", "method", "reason"),
    [
        (["GET"], b"GET", None),
        (["GET"], b"HEAD", None),
        (["HEAD"], b"GET", Reason.METHOD_FORBIDDEN),
        (["GET"], b"POST", Reason.METHOD_FORBIDDEN),
        (["GET"], b"get", Reason.METHOD_FORBIDDEN),
        (["GET", "DELETE"], b"DELETE", None),
    ],
)
def test_methods(methods: list[str], method: bytes, reason: Reason | None):
    """A method is allowed by name; HEAD is GET without its content."""
    assert verdict({"methods": methods}, method=method) is reason


@pytest.mark.parametrize("name", [b"X-HTTP-Method-Override", b"x_http_method", b"X-METHOD-OVERRIDE"])
def test_a_method_in_a_field_counts_as_well(name: bytes):
    """An upstream that acts on the field gets no method that the request line could not have had."""
    require = {"methods": ["POST", "PUT"]}
    assert verdict(require, method=b"POST", headers=[(name, b" put")]) is None
    for value in (b"DELETE", b"", b"\xff"):
        assert verdict(require, method=b"POST", headers=[(name, value)]) is Reason.METHOD_FORBIDDEN


def test_the_groups_claim_is_configurable():
    """Also by a dotted name, as Keycloak's roles are."""
    compiled = compile_require(RequireSettings(groups=("admins",)), "realm_access.roles")
    who = identity(claims={"realm_access": {"roles": ["admins"]}})
    assert judge(who, request(), compiled, NOW) is None
    assert judge(identity(claims={"groups": ["admins"]}), request(), compiled, NOW) is Reason.GROUP_MISSING


def test_being_authenticated_is_enough_without_require():
    """No ``require``: no policy."""
    assert judge(identity(), request(), compile_require(None, "groups"), NOW) is None


@pytest.mark.parametrize(
    "name", ["scopes", "groups", "roles", "claims", "email_domains", "networks", "methods", "acr"]
)
def test_empty_never_means_allow(name: str):
    """An empty list is a configuration error, and refuses if it gets past that."""
    empty = {} if name == "claims" else ()
    with pytest.raises(ValidationError):
        RequireSettings.model_validate({name: empty})
    section = RequireSettings().model_copy(update={name: empty})
    for each in (section, RequireSettings().model_copy(update={"not_": section})):
        who = identity(scopes=frozenset("ab"), claims={"groups": [], "roles": [], "acr": "x"})
        assert judge(who, request_of("192.0.2.1"), compile_require(each, "groups"), NOW) is not None


def test_a_require_without_a_policy_is_an_error():
    """``require: {}`` looks like protection."""
    with pytest.raises(ValueError, match="no policy"):
        compile_require(RequireSettings(), "groups")


def test_every_setting_has_its_policy():
    """What can be configured is judged; what is no policy puts policies together, or describes them."""
    assert set(POLICIES) | {"policies", "all", "any", "not", "description"} == set(
        written_names(RequireSettings)
    )


def test_what_a_challenge_asks_for():
    """RFC 6750 section 3, RFC 9470 section 3: scopes, acr_values and max_age in whole seconds."""
    compiled = compile_require(RequireSettings(scopes=("a",), acr=("gold",), max_age="1500ms"), "groups")
    assert (compiled.scopes, compiled.acr_values, compiled.max_age) == (("a",), ("gold",), 2)


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a.b.c.d"])
def test_odd_claim_names(name: str):
    """Nothing is found where there is nothing, and nothing raises."""
    assert find_claim({"a": {"b": 1}}, name) is None
