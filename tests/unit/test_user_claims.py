"""What user APIs tell, as claims: the recorded shapes, and what is no such shape."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks.provider_kinds import check_kind
from gateway.config.presets import endpoints_of
from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import TokenSet
from gateway.oauth import user_api
from gateway.oauth.errors import MessageError
from gateway.oauth.user_claims import PARTS, claims_of_user, parts_of
from gateway.syntax.encoding import parse_list
from tests.support.oauth2 import SCOPES, section


def settings(service: str = "github", **changes: Any) -> ProviderSettings:
    """Return the settings of a service."""
    return ProviderSettings(**section("https://id.example.com", service, **changes))


@pytest.mark.parametrize(
    ("preset", "issuer", "user"),
    [
        ("github", "https://github.com", "https://api.github.com/user"),
        ("github", "https://acme.ghe.com", "https://api.acme.ghe.com/user"),
        ("github", "https://git.example.com", "https://git.example.com/api/v3/user"),
        ("github", "https://evilgithub.com", "https://evilgithub.com/api/v3/user"),
        ("gitlab", "https://gitlab.com/", "https://gitlab.com/api/v4/user"),
        ("discord", "https://discord.com", "https://discord.com/api/v10/users/@me"),
    ],
)
def test_endpoints_follow_from_the_issuer(preset: str, issuer: str, user: str) -> None:
    """[11.4]: and what is written wins."""
    found = endpoints_of(settings(preset, issuer=issuer))
    assert found["userinfo_endpoint"] == user
    written = settings(preset, issuer=issuer, userinfo_endpoint="https://proxy.example.com/me")
    assert endpoints_of(written)["userinfo_endpoint"] == "https://proxy.example.com/me"


def test_scopes_say_what_is_asked_for() -> None:
    """[11.4]: nothing is asked that the token is not good for."""
    assert parts_of(settings(scopes=("read:user",))) == ()
    assert parts_of(settings(scopes=("user",))) == ("emails",)
    assert parts_of(settings()) == ("emails", "organizations", "teams")
    assert parts_of(settings("gitlab", scopes=("read_user",))) == ()
    assert parts_of(settings("generic")) == ()


def test_groups_that_were_not_asked_for_are_none() -> None:
    """[11.4]: a member of the answer that is called so names no groups."""
    user = {"id": 1, "groups": ["admins"], "group_ids": ["1"], "email": "a@corp.com", "email_verified": True}
    told = claims_of_user(settings(scopes=("read:user",)), user, {})
    assert "groups" not in told
    assert "group_ids" not in told
    assert told["email_verified"] is False, "the address of a profile is nobody's proof"


def test_a_team_of_a_name_with_a_slash_is_none() -> None:
    """[11.4]: no organisation and team can be read as others."""
    teams = [
        {"slug": "b", "id": 2, "organization": {"login": "a/x", "id": 1}},
        {"slug": "b/c", "id": 3, "organization": {"login": "a", "id": 1}},
        {"slug": "", "id": 4, "organization": {"login": "a", "id": 1}},
        {"slug": "d", "id": 5, "organization": None},
        {"slug": "ok", "id": 6, "organization": {"login": "a", "id": 1}},
        "text",
        None,
    ]
    told = claims_of_user(settings(), {"id": 1}, {"organizations": [], "teams": teams})
    assert told["groups"] == ["a/ok"]
    assert told["group_ids"] == ["1/2", "1/3", "1/4", "1/6"]


@pytest.mark.parametrize(
    "value", [None, True, False, 0, -5, 1.0, "", " ", "a\n", "x" * 256, [], {}, "\uff11\uff12"]
)
def test_what_is_no_id(value: Any) -> None:
    """R26 [11.4]: for each kind of API."""
    for service in ("github", "gitlab", "discord"):
        with pytest.raises(MessageError):
            claims_of_user(settings(service), {"id": value, "login": "alice", "sub": "1"}, {})
    if value not in (" ", "\uff11\uff12"):
        with pytest.raises(MessageError):
            claims_of_user(settings("generic"), {"user": {"uid": value}, "id": 1, "sub": "1"}, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "login", "email", "primary", "verified", "organization", "slug", "full_path"])


@given(
    st.sampled_from(["github", "gitlab", "discord", "generic"]),
    st.dictionaries(NAMES, JSON, max_size=5),
    st.dictionaries(
        st.sampled_from(sorted(PARTS)), st.lists(st.dictionaries(NAMES, JSON) | JSON, max_size=3)
    ),
)
def test_any_answer_is_claims_or_an_error(service: str, user: dict[str, Any], parts: dict[str, Any]) -> None:
    """[11.4]: garbage raises nothing else, and the subject is always a text."""
    try:
        told = claims_of_user(settings(service), user, parts)
    except MessageError:
        return
    assert isinstance(told["sub"], str)
    assert told["sub"]
    assert all(isinstance(each, str) for each in told.get("group_ids") or [])


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"1", b'[1],"":[2]', b'[1],"x":2', b"[1]}{", b"[1", b"[NaN]", b"[1] x", b"[" * 99, b"null"],
)
def test_what_is_no_list(data: bytes) -> None:
    """[11.4]: a list is one list and nothing beside it."""
    assert parse_list(data, 1000) is None
    assert parse_list(b" [1, {}] \n", 1000) == [1, {}]
    assert parse_list(b"[1, 2]", 5) is None


def test_tokens_as_others_give_them() -> None:
    """[11.4]: scopes between commas, no ID token, and an access token that stands for the grant."""
    given_tokens = TokenSet("gho_x", None, id_token="e.y.J", scopes=frozenset({"read:org,user:email", "x"}))
    found = user_api.normalise(given_tokens, settings(user_max_age="10m"))
    assert found.scopes == {"read:org", "user:email", "x"}
    assert found.id_token is None
    assert found.expires_in == 600
    assert found.refresh_token is not None
    assert user_api.access_token_of(found.refresh_token) == "gho_x"
    assert user_api.access_token_of("gho_x") is None
    soon = user_api.normalise(TokenSet("a", 60.0), settings())
    assert soon.expires_in == 60
    kept = user_api.normalise(TokenSet("a", 7200.0, refresh_token="r"), settings())
    assert (kept.refresh_token, kept.expires_in) == ("r", 7200)


@pytest.mark.parametrize(
    ("service", "changes"),
    [
        ("github", {"callback": None}),
        ("github", {"audiences": ["a"]}),
        ("github", {"userinfo": True}),
        ("github", {"bearer_only": True}),
        ("github", {"access_token": "jwt"}),
        ("github", {"jwks_uri": "https://x.example.com/keys"}),
        ("github", {"frontchannel_logout": True}),
        ("github", {"subject": "login"}),
        ("generic", {"subject": None}),
        ("generic", {"subject": "users[].id"}),
        ("generic", {"subject": "a..b"}),
        ("generic", {"token_endpoint": None}),
        ("generic", {"userinfo_endpoint": None}),
        ("github", {"kind": "oidc"}),
    ],
)
def test_what_does_not_fit(service: str, changes: dict[str, Any]) -> None:
    """R71 [11.4]: a callback of its own is mandatory; what the kind has no use for is an error."""
    assert not list(check_kind(settings(service), ("providers", "x")))
    assert list(check_kind(settings(service, **changes), ("providers", "x")))


def test_every_scope_of_the_examples_is_asked() -> None:
    """[11.4]: what docs and tests write leads to every part there is."""
    assert {part for service in SCOPES for part in parts_of(settings(service))} == set(PARTS)
