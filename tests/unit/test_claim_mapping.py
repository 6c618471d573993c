"""What a provider's claims become: paths, lists, first of, constants, templates."""

from typing import Any

import pytest

from gateway.config.checks.claims import RESERVED, check_claims
from gateway.config.settings.providers import ProviderSettings
from gateway.core.claim_mapping import compile_mapping, cut
from gateway.core.email import domain_of
from gateway.core.identity import Identity
from gateway.core.provider import claims_of
from gateway.core.tokens import access_token
from gateway.syntax.claim_paths import parse_path, parse_template
from tests.support.jose import ISSUER, NOW, access_claims, key_set, provider, sign

CLAIMS: dict[str, Any] = {
    "groups": ["native"],
    "realm_access": {"roles": ["admin", "staff"]},
    "resource_access": {"my.app": {"roles": ["editor", "staff"]}, "other": {"roles": "x"}},
    "teams": [{"slug": "red", "org": {"login": "acme"}}, {"slug": "blue"}, {"name": "no slug"}, "text"],
    "https://example.com/roles": ["literal"],
    "a.b": "literal",
    "a": {"b": "walked"},
    "given_name": "Ada",
    "family_name": "Lovelace",
    "number": 7,
    "truth": True,
    "empty": "",
    "none": [],
    "null": None,
}


def made(source: Any, claims: dict[str, Any] | None = None, name: str = "made", **changes: Any) -> Any:
    named = provider(claims={name: source}, **changes)
    return claims_of(named, "alice", CLAIMS if claims is None else claims).get(name)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("realm_access.roles", ["admin", "staff"]),
        ("realm_access", {"roles": ["admin", "staff"]}),
        (r"resource_access.my\.app.roles", ["editor", "staff"]),
        ("resource_access.my.app.roles", None),
        ("teams[].slug", ["red", "blue"]),
        ("teams[].org.login", ["acme"]),
        ("teams[]", ["text"]),
        ("teams.slug", None),
        ("https://example.com/roles", ["literal"]),
        ("a.b", "literal"),
        ("nowhere", None),
        ("given_name.deeper", None),
        ("given_name[]", None),
        ("null", None),
        ({"path": "nowhere", "default": "none"}, "none"),
        ({"path": "number", "default": 1}, 7),
        ({"first_of": ["nowhere", "empty", "none", "null", "given_name", "number"]}, "Ada"),
        ({"first_of": ["nowhere", "none"]}, None),
        ({"first_of": ["nowhere"], "default": False}, False),
        ({"list_of": ["groups", "realm_access.roles", r"resource_access.my\.app.roles", "number"]},
         ["native", "admin", "staff", "editor", 7]),
        ({"list_of": ["truth", "one"]}, [True, 1]),
        ({"list_of": ["nowhere", "empty", "realm_access"]}, None),
        ({"keys_of": "resource_access"}, ["my.app", "other"]),
        ({"keys_of": r"resource_access.my\.app"}, ["roles"]),
        ({"keys_of": "urn:roles"}, ["admin", "a b"]),
        ({"keys_of": "groups"}, None),
        ({"keys_of": "given_name", "default": "none"}, "none"),
        ({"keys_of": "teams[]"}, None),
        ({"keys_of": "nowhere"}, None),
        ({"keys_of": "memberless"}, None),
        ({"value": "corporate"}, "corporate"),
        ({"value": ["a", "b"]}, ["a", "b"]),
        ({"value": False}, False),
        ({"template": "{given_name} {family_name}"}, "Ada Lovelace"),
        ({"template": "{{{number}}}"}, "{7}"),
        ({"template": "{a.b}"}, "literal"),
        ({"template": "{given_name}{nowhere}"}, None),
        ({"template": "{given_name}{empty}"}, None),
        ({"template": "{truth}"}, None),
        ({"template": "{groups}", "default": "x"}, "x"),
        ({"template": "{iss}|{sub}"}, f"{ISSUER}|alice"),
    ],
)  # fmt: skip
def test_what_a_source_leads_to(source: Any, value: Any) -> None:
    """[11.4]: each kind of source, and what leads nowhere is absent."""
    roles: dict[str, Any] = {"admin": {"1": "acme.example"}, "": {}, "a b": {}}
    found = made(source, CLAIMS | {"one": 1, "urn:roles": roles, "memberless": {}})
    assert found == value
    assert type(found) is type(value)


def test_a_mapped_name_has_no_other_value() -> None:
    """[11.4]: what the provider sends under that very name counts only where the source leads there."""
    assert made("realm_access.roles", name="groups") == ["admin", "staff"]
    assert made("nowhere", name="groups") is None
    assert made({"list_of": ["groups", "realm_access.roles"]}, name="groups") == ["native", "admin", "staff"]
    # issuer and subject are the verified ones, whatever a claim says
    assert made({"template": "{sub}@{iss}"}, {"sub": "mallory", "iss": "https://evil"}) == f"alice@{ISSUER}"


@pytest.mark.parametrize(
    ("source", "claims", "more", "domain"),
    [
        ("mail", {"mail": "a@corp.com", "email": "b@evil.com", "email_verified": True}, {}, None),
        ("mail", {"mail": "a@corp.com"}, {}, None),
        ("mail", {"mail": "a@corp.com"}, {"email_verified": "assume"}, "corp.com"),
        ("mail", {"mail": "a@corp.com", "email_verified": False}, {"email_verified": "assume"}, "corp.com"),
        ({"first_of": ["email", "mail"]}, {"email": "a@corp.com", "email_verified": True}, {}, "corp.com"),
        ({"first_of": ["email", "mail"]}, {"email": "a@corp.com", "email_verified": False}, {}, None),
        (
            {"first_of": ["email", "mail"]},
            {"email": "a@evil.com", "email_verified": False, "mail": "a@corp.com"},
            {},
            None,
        ),
    ],
)
def test_r80_what_was_said_of_one_address_says_nothing_of_another(
    source: Any, claims: dict[str, Any], more: dict[str, Any], domain: str | None
) -> None:
    """R80 [11.4]: a mapped address is verified where the provider's own word is about it."""
    named = provider(claims={"email": source}, **more)
    assert domain_of(claims_of(named, "alice", claims)) == domain


def test_r80_an_unverified_address_is_told_under_no_other_name() -> None:
    """R80 [11.4]: neither by a path nor within a text, but where unverified ones are told."""
    claims = {"email": "a@corp.com", "email_verified": False, "user": {"email": "x", "email_verified": "no"}}
    nested = {
        "all": [{"email": "a@x.com", "email_verified": False}, {"email": "b@x.com"}],
        "a.email": "c@x.com",
    }
    nested |= {"user": {"email": "x", "email_verified": "no"}, "a.email_verified": 0}
    for source in (
        "user.email",
        "a.email",
        {"template": "{user.email}"},
        {"first_of": ["user.email", "a.email"]},
    ):
        assert made(source, nested, "contact") is None
        assert made(source, nested, "contact", email_verified="ignore") is not None
    assert made("all[].email", nested, "contact") == ["b@x.com"]
    assert made("user", nested, "whole") == {"email_verified": "no"}
    for source in ("email", {"template": "<{email}>"}, {"list_of": ["email"]}):
        assert made(source, claims, "contact") is None
        assert made(source, claims, "contact", email_verified="ignore") is not None
    assert made("email", {**claims, "email_verified": True}, "contact") == "a@corp.com"


def test_bearer_tokens_are_mapped() -> None:
    """[11.4]: the identity of a token has the mapped claims."""
    named = provider(claims={"groups": "realm_access.roles"})
    found = access_token.check(
        sign(access_claims(groups=["admin"], realm_access={"roles": ["staff"]})), named, key_set(), NOW
    )
    assert isinstance(found, Identity)
    assert found.claims["groups"] == ["staff"]
    assert (found.subject, found.issuer) == ("alice", ISSUER)


def test_a_session_keeps_what_the_sources_read() -> None:
    """[11.4]: inputs are kept and mapped names are not."""
    settings = provider(
        claims={"groups": "realm_access.roles", "email": {"first_of": ["mail", "upn"]}}
    ).settings
    mapping = compile_mapping(settings)
    assert mapping is not None
    kept = mapping.kept(["groups", "email", "email_verified", "name", "groups.deep"])
    read = provider(claims={"a": "email", "b": {"template": "{email}"}, "c": "x.email"}).mapping
    assert read is not None
    assert read.inputs == {"email", "email_verified", "x", "x.email", "x.email_verified"}
    assert kept == {"realm_access.roles", "realm_access", "mail", "upn", "email", "email_verified", "name"}


def test_a_session_keeps_no_more_than_the_sources_read() -> None:
    """[11.4]: of large objects what paths lead to; all of what is used as it is."""
    claims = {"a": r"resource_access.my\.app.roles", "b": "teams[].slug", "c": "user.email", "d": "whole"}
    mapping = provider(claims=claims | {"e": "whole.part"}).mapping
    assert mapping is not None
    shapes = mapping.shapes(["teams"])
    assert shapes == {
        "resource_access": {"my.app": {"roles": None}},
        "user": {"email": None, "email_verified": None},
    }
    found = cut(CLAIMS["resource_access"], shapes["resource_access"])
    assert found == {"my.app": {"roles": ["editor", "staff"]}}
    assert mapping.shapes([])["teams"] == {"slug": None}
    assert cut(CLAIMS["teams"], {"slug": None}) == [{"slug": "red"}, {"slug": "blue"}, {}, None]


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a b", "a\\", "[]", "a.[]", "{a}", "a\\b", "a." * 17]
)
def test_what_is_no_path(text: str) -> None:
    """[11.4]: a path has named steps; nothing else is guessed at."""
    assert parse_path(text) is None


@pytest.mark.parametrize("text", ["{", "}", "{a", "a}", "{}", "{a b}", "{a}}", "{{a}", "x{}y", "{a}" * 65])
def test_what_is_no_template(text: str) -> None:
    """[11.4]: a brace alone is an error, not a text."""
    assert parse_template(text) is None


@pytest.mark.parametrize(
    "claims",
    [
        *({name: "x"} for name in sorted(RESERVED)),
        {"a b": "x"},
        {"x": {}},
        {"x": {"default": "y"}},
        {"x": {"path": "a", "value": "b"}},
        {"x": {"value": "b", "default": "c"}},
        {"x": {"template": "{"}},
        {"x": {"first_of": ["a", "b..c"]}},
        {"x": "a..b"},
    ],
)
def test_r26_what_nothing_may_be_mapped_to(claims: dict[str, Any]) -> None:
    """R26 [11.4]: verified claims are not for mapping, and a source is exactly one."""
    settings = ProviderSettings(issuer=ISSUER, client_id="c", audiences=("a",), claims=claims)
    assert list(check_claims(settings, ("providers", "main")))
