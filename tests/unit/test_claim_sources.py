"""Whose word a claim is, and what a renewal makes of it, with refreshes as providers answer them."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Login, Refuse
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Refresh, SessionRecord
from gateway.core.headers.request import Request
from gateway.core.identity import find_claim
from gateway.core.provider import TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.sessions import claim_sources, codec, renewal
from gateway.core.sessions.model import Grant, Renewed, Session, SessionOver, Told
from gateway.core.sessions.record import RECORD_PURPOSE, Handle, StoredSession, encode_handle
from gateway.core.tokens.keys import KeySet
from gateway.syntax.encoding import encode_base64url
from tests.support import jose
from tests.support.decisions import compiled, remembered
from tests.support.pure import ISSUER, NOW, PREFIX

NAVIGATE = ((b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate"))
LOGIN_AT = NOW - 600


def provider(**changes: Any) -> dict[str, Any]:
    return {
        "corporate": {"issuer": ISSUER, "client_id": "w", "client_secret": "s", "audiences": ["a"]} | changes
    }


def known(groups: str = "groups", **changes: Any) -> Any:
    headers = {"X-Forwarded-User": "sub", "X-Forwarded-Email": "email", "X-Name": "name"}
    return compiled(providers=provider(**changes), identity_headers=headers, groups_claim=groups)


PLAIN, ASKING, JWT = known(), known(userinfo=True), known(access_token="jwt", userinfo=True)


def begun(settings: Any, **told: dict[str, Any]) -> Session:
    """Return the session of a login ten minutes ago in which these sources were heard."""
    heard: Any = {source: {"iss": ISSUER, "sub": "alice", **claims} for source, claims in told.items()}
    kept = claim_sources.begin(settings.providers["corporate"], heard, LOGIN_AT)
    return Session(
        session_id="session-1",
        provider="corporate",
        issuer=ISSUER,
        subject="alice",
        sid=None,
        claims=kept.claims,
        scopes=frozenset(),
        login_at=LOGIN_AT,
        ends_at=NOW + 100_000,
        seen_at=NOW - 10,
        renewed_at=LOGIN_AT,
        access_expires_at=NOW,
        told=kept.told,
        claims_at=kept.claims_at,
    )


def renewed(
    settings: Any,
    session: Session,
    id_token: dict[str, Any] | None = None,
    userinfo: dict[str, Any] | None = None,
    access_token: str = "opaque",  # noqa: S107 - no secret
    now: float = NOW,
) -> Session:
    """Return the session after a refresh; UserInfo is heard only where the refresh asks for it."""
    id_claims = None if id_token is None else {"iss": ISSUER, "sub": "alice", **id_token}
    if not claim_sources.needs_userinfo(settings.providers["corporate"], session, id_claims):
        userinfo = None
    elif userinfo is not None:
        userinfo = {"sub": "alice", **userinfo}
    tokens = TokenSet(access_token, 300, "refresh-1")
    grant = Grant("session-1", session.generation, "refresh-0")
    outcome = renewal.renew(
        settings.providers["corporate"], session, grant, "claim", tokens, id_claims, userinfo, now
    )
    assert isinstance(outcome, Renewed)
    # as it comes back from the cookie
    again = codec.decode_session(codec.encode_session(outcome.session))
    assert again == outcome.session
    return again


@dataclass(frozen=True)
class Shape:
    """A provider's login and its refresh after "admins" was taken away; ``left`` are the groups after it."""

    settings: Any
    login: dict[str, dict[str, Any]]
    id_token: dict[str, Any] | None = None
    userinfo: dict[str, Any] | None = None
    left: list[str] | None = None
    stays: dict[str, Any] = field(default_factory=dict)


SHAPES = {
    # thin ID tokens beside an access token; groups come from UserInfo alone
    "okta": Shape(
        ASKING,
        {
            "id_token": {"amr": ["pwd", "mfa"], "auth_time": 1, "idp": "00o1", "ver": 1},
            "userinfo": {"email": "a@example.com", "groups": ["Everyone", "admins"], "name": "A"},
        },
        {"amr": ["pwd", "mfa"], "auth_time": 1, "idp": "00o1", "ver": 1},
        {"email": "a@example.com", "groups": ["Everyone"], "name": "A"},
        ["Everyone"],
        {"email": "a@example.com", "amr": ["pwd", "mfa"]},
    ),
    # its UserInfo never has groups: the ID token has
    "entra": Shape(
        ASKING,
        {
            "id_token": {"groups": ["g-1", "admins"], "name": "A", "email": "a@example.com", "oid": "o"},
            "userinfo": {"name": "A", "email": "a@example.com", "picture": "https://graph.example/p"},
        },
        {"name": "A", "email": "a@example.com", "oid": "o"},
        {"name": "A", "email": "a@example.com", "picture": "https://graph.example/p"},
        None,
        {"email": "a@example.com", "name": "A"},
    ),
    # over 200 groups: a pointer to the Graph API takes their place
    "entra-overage": Shape(
        PLAIN,
        {"id_token": {"groups": ["g-1", "admins"], "email": "a@example.com"}},
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}, "email": "a@example.com"},
        None,
        None,
        {"email": "a@example.com"},
    ),
    # the ID token of a refresh has neither nonce nor at_hash, and no profile
    "google": Shape(
        ASKING,
        {
            "id_token": {"email": "a@example.com", "hd": "example.com", "name": "A", "at_hash": "x"},
            "userinfo": {"email": "a@example.com", "name": "A", "groups": ["admins"]},
        },
        {"email": "a@example.com", "hd": "example.com", "at_hash": "y"},
        {"email": "a@example.com", "name": "A"},
        None,
        {"email": "a@example.com", "name": "A"},
    ),
    # an action adds namespaced claims to each ID token, until it does not
    "auth0": Shape(
        known("https://example.com/roles"),
        {
            "id_token": {
                "https://example.com/roles": ["admins"],
                "name": "A",
                "email": "a@example.com",
                "sid": "s",
            }
        },
        {"name": "A", "email": "a@example.com"},
        None,
        None,
        {"name": "A"},
    ),
    "cognito": Shape(
        known("cognito:groups"),
        {"id_token": {"cognito:groups": ["eu_pool", "admins"], "email": "a@example.com", "token_use": "id"}},
        {"cognito:groups": ["eu_pool"], "email": "a@example.com", "token_use": "id", "origin_jti": "o"},
        None,
        ["eu_pool"],
        {"email": "a@example.com"},
    ),
    "keycloak": Shape(
        ASKING,
        {
            "id_token": {
                "acr": "1",
                "auth_time": 1,
                "sid": "s",
                "groups": ["/admins", "admins"],
                "name": "A",
            },
            "userinfo": {"groups": ["/admins", "admins"], "name": "A", "email": "a@example.com"},
        },
        {"acr": "1", "auth_time": 1, "sid": "s", "groups": ["/staff"], "name": "A", "email": "a@example.com"},
        None,
        ["/staff"],
        {"acr": "1", "email": "a@example.com"},
    ),
    # roles are in an object, which is left out once it is empty
    "keycloak-roles": Shape(
        known("realm_access.roles"),
        {"id_token": {"realm_access": {"roles": ["admins", "offline_access"]}, "name": "A"}},
        {"name": "A", "acr": "0"},
        None,
        None,
        {"name": "A"},
    ),
    # refreshes its connector's identity; the last group gone, the claim is left out
    "dex": Shape(
        PLAIN,
        {"id_token": {"groups": ["admins"], "email": "a@example.com", "name": "A", "at_hash": "x"}},
        {"email": "a@example.com", "name": "A", "at_hash": "y"},
        None,
        None,
        {"email": "a@example.com"},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_r68_what_was_taken_away_is_gone(name: str):
    """R68 [1.6]: groups that a refresh no longer tells are gone, whatever shape the provider gives it."""
    shape = SHAPES[name]
    session = begun(shape.settings, **shape.login)
    name = shape.settings.settings.groups_claim
    held = find_claim(session.claims, name)
    assert isinstance(held, list)
    assert "admins" in held
    after = renewed(shape.settings, session, shape.id_token, shape.userinfo)
    assert find_claim(after.claims, name) == shape.left
    assert shape.stays.items() <= after.claims.items()


@pytest.mark.parametrize("name", SHAPES)
def test_r68_a_second_refresh_tells_the_same(name: str):
    """R68 [1.6]: what is gone does not come back, and UserInfo goes on being asked where it was needed."""
    shape = SHAPES[name]
    first = renewed(shape.settings, begun(shape.settings, **shape.login), shape.id_token, shape.userinfo)
    again = renewed(shape.settings, first, shape.id_token, shape.userinfo, now=NOW + 300)
    assert again.claims == first.claims


def test_r68_userinfo_is_asked_where_the_id_token_lacks_something():
    """R68 [1.6]: and not where it carries all that UserInfo had told, nor where nobody wants it."""
    session = begun(ASKING, id_token={"name": "A"}, userinfo={"name": "A", "groups": ["admins"]})
    needs = claim_sources.needs_userinfo
    assert needs(ASKING.providers["corporate"], session, {"sub": "alice", "name": "A"})
    assert needs(ASKING.providers["corporate"], session, None)
    assert not needs(ASKING.providers["corporate"], session, {"sub": "alice", "name": "A", "groups": []})
    assert not needs(PLAIN.providers["corporate"], session, None)
    # it has never been heard: what it would tell is unknown
    assert needs(
        ASKING.providers["corporate"], begun(ASKING, id_token={"name": "A"}), {"sub": "alice", "name": "A"}
    )


def test_r68_a_source_that_is_not_heard_is_kept_and_ages():
    """R68 [1.6]: UserInfo is away: its claims stay, as old as they are; the ID token's are new."""
    session = begun(ASKING, id_token={"name": "A"}, userinfo={"groups": ["admins"]})
    after = renewed(ASKING, session, {"name": "B"}, None)
    assert after.claims["groups"] == ["admins"]
    assert after.claims["name"] == "B"
    assert after.claims_at == LOGIN_AT
    assert renewed(ASKING, after, {"name": "B"}, {"groups": ["staff"]}).claims_at == NOW


def test_r68_what_two_sources_told_is_gone_once_one_of_them_leaves_it_out():
    """R68 [1.6]: the other was not heard, and its older word does not stand in; later it is asked again."""
    session = begun(ASKING, id_token={"groups": ["admins"]}, userinfo={"groups": ["admins"]})
    after = renewed(ASKING, session, {}, None)
    assert "groups" not in after.claims
    assert claim_sources.needs_userinfo(ASKING.providers["corporate"], after, {"sub": "alice"})
    assert renewed(ASKING, after, {}, {"groups": ["staff"]}).claims["groups"] == ["staff"]


def test_r68_null_takes_away():
    """R68 [1.6]: a claim that is null tells nothing, so nothing is left of it."""
    after = renewed(PLAIN, begun(PLAIN, id_token={"groups": ["admins"]}), {"groups": None})
    assert "groups" not in after.claims


def test_r68_a_newer_word_beats_an_older_one():
    """R68 [1.6]: what UserInfo told at login does not stand above what the ID token tells now."""
    session = begun(ASKING, id_token={"groups": ["a"]}, userinfo={"groups": ["a", "admins"]})
    assert renewed(ASKING, session, {"groups": ["a"]}).claims["groups"] == ["a"]


@pytest.mark.parametrize("userinfo", [True, False])
def test_r68_a_session_of_the_version_before(userinfo: bool):
    """R68 [1.6]: it does not say whose word a claim is: each source that may have told it takes it away."""
    settings = ASKING if userinfo else PLAIN
    old = replace(begun(settings, id_token={"groups": ["admins"], "name": "A"}), told={}, claims_at=None)
    assert claim_sources.told_at(old) == old.renewed_at
    assert "groups" not in renewed(settings, old, {"name": "A"}, {"name": "A"}).claims
    assert renewed(settings, old, None, None).claims == old.claims


def access_token(**claims: Any) -> str:
    return jose.sign({**jose.access_claims(iss=ISSUER, sub="alice", aud="a"), **claims})


def test_r68_the_access_token_replaces_what_it_tells():
    """R68 [1.7]: what its verified access token tells now beats what was kept from the login."""
    session = begun(JWT, id_token={"groups": ["admins"], "email": "a@example.com"}, access_token={})
    after = renewed(JWT, session, None, None, access_token(groups=["staff"]))
    assert "groups" not in after.claims
    assert after.claims["email"] == "a@example.com"
    told_before = begun(JWT, id_token={"groups": ["x"]}, access_token={"groups": ["admins"]})
    assert "groups" not in renewed(JWT, told_before, None, None, access_token()).claims
    # the ID token that comes along is as new, and says more of the person
    assert renewed(JWT, session, {"groups": ["g"]}, None, access_token(groups=["s"])).claims["groups"] == [
        "g"
    ]


def ask(
    settings: Any, session: Session, *headers: Any, path: bytes = b"/x", now: float = NOW, facts: Any = None
):
    """Decide a request of this session; the keys are those of ``tests.support.jose``."""
    seal = settings.ring.seal
    origin = "https://app.example.com"
    grant = Grant("session-1", session.generation, "refresh-0")
    value = seal(f"session {origin}", codec.encode_session(session), os.urandom(12))
    other = seal(f"refresh {origin}", codec.encode_grant(grant), os.urandom(12))
    cookie = (b"Cookie", f"{PREFIX}session={value}; {PREFIX}refresh={other}".encode())
    denylist = Denylist()
    denylist.synchronised_at = now
    keys: dict[str, KeySet] = {"corporate": replace(jose.key_set(), stale_after=now + 1000)}
    knowledge = Knowledge(
        settings,
        keys,
        denylist,
        Memory(),
        lambda _: None,
        lambda _: False,
        facts if facts is not None else {},
    )
    host = b"app.example.com"
    request = Request(b"GET", path, host, ((b"Host", host), cookie, *headers), "192.0.2.1")
    return decide(request, knowledge, now, "r"), knowledge


def test_r68_how_somebody_authenticated_is_the_id_tokens_word():
    """R68 [1.28]: acr, amr and auth_time of UserInfo or the access token count for nothing."""
    strong = {"acr": "gold", "amr": ["hwk"], "auth_time": NOW}
    session = begun(JWT, id_token={"acr": "1"}, userinfo=strong, access_token=strong)
    assert session.claims["acr"] == "1"
    assert not {"amr", "auth_time"} & session.claims.keys()
    after = renewed(JWT, session, {"acr": "1"}, strong, access_token(**strong))
    assert after.claims["acr"] == "1"
    assert not {"amr", "auth_time"} & after.claims.keys()
    assert not {"acr", "amr"} & renewed(JWT, after, {}, strong, access_token(**strong)).claims.keys()
    now = jose.NOW
    live = replace(
        after,
        access_token=access_token(**strong, exp=now + 600, iat=now, scope="x"),
        ends_at=now + 9999,
        seen_at=now,
        renewed_at=now,
        access_expires_at=now + 500,
        claims_at=now,
    )
    answer, _ = ask(JWT, live, now=now)
    assert isinstance(answer, Forward)
    assert answer.identity is not None
    assert answer.identity.claims["acr"] == "1"
    assert not {"amr", "auth_time"} & answer.identity.claims.keys()


def test_r68_no_other_source_says_whose_word_it_is():
    """R68, R70: a partner's UserInfo or access token that names another issuer or login is not believed."""
    settings = compiled(providers=provider(userinfo=True), identity_headers={"X-Forwarded-Issuer": "iss"})
    other = {"iss": "https://corporate.example", "sid": "of-another"}
    session = begun(settings, id_token={"sid": "s"}, userinfo=other)
    assert (session.claims["iss"], session.claims["sid"]) == (ISSUER, "s")
    after = renewed(settings, session, {"sid": "s"}, other)
    assert (after.claims["iss"], after.claims["sid"]) == (ISSUER, "s")
    # not even where the ID token was not heard
    after = renewed(settings, session, None, other)
    assert (after.claims["iss"], after.claims["sid"]) == (ISSUER, "s")


def test_r68_claims_that_are_too_old_are_renewed_or_refused():
    """R68 [1.6]: first a refresh; what it does not bring, a login does; a script is told where."""
    session = begun(PLAIN, id_token={"groups": ["admins"]})
    late = LOGIN_AT + 8 * 3600
    session = replace(session, access_expires_at=late + 9999, seen_at=late - 10)
    answer, _ = ask(PLAIN, session, now=late)
    assert isinstance(answer, Refresh)
    bare = renewed(PLAIN, session, None, now=late)
    outcome = Renewed(bare, Grant("session-1", 1, "refresh-1"))
    answer, _ = ask(PLAIN, session, *NAVIGATE, now=late, facts={answer: outcome})
    assert isinstance(answer, Login)
    assert answer.reason is Reason.CLAIMS_TOO_OLD
    # the next request asks the provider no more
    answer, _ = ask(PLAIN, bare, now=late + 1)
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.CLAIMS_TOO_OLD
    assert answer.login_url
    assert not answer.cookies
    answer, _ = ask(PLAIN, bare, now=late + 1, path=b"/optional/")
    assert isinstance(answer, Forward)
    assert answer.identity is None


def test_r68_no_decision_outlasts_its_claims():
    """R68 [1.6]: what is remembered of a decision ends when the claims are due, or too old."""
    settings = compiled(session={"claims_max_age": "100s"})
    session = begun(settings, id_token={"groups": ["admins"]})
    session = replace(session, claims_at=NOW - 60, renewed_at=NOW - 60, access_expires_at=NOW + 5000)
    answer, knowledge = ask(settings, session)
    assert isinstance(answer, Forward)
    found = remembered(knowledge)[0].kept
    assert found is not None
    assert found.until == pytest.approx(NOW + 40 - 25)
    # a renewal since then brought none: it would not help, so they hold until they are too old
    answer, knowledge = ask(settings, replace(session, renewed_at=NOW - 1))
    found = remembered(knowledge)[0].kept
    assert found is not None
    assert found.until == pytest.approx(NOW + 40)


def test_r68_who_somebody_is_does_not_age():
    """R68 [1.6]: subject, sid and how they logged in are bound to the session, whose end bounds them."""
    session = begun(PLAIN, id_token={"sid": "s", "acr": "1", "auth_time": 1})
    assert renewed(PLAIN, session, None).claims_at == NOW


def test_claims_that_do_not_fit_end_the_session():
    """R68 [1.27]: never the rights of before; the reason and the size are told."""
    session = begun(PLAIN, id_token={"groups": ["admins"]})
    grant, tokens = Grant("session-1", 0, "refresh-0"), TokenSet("a", 300, "refresh-1")
    claims = {"iss": ISSUER, "sub": "alice", "groups": [f"group-{n:05}" for n in range(2000)]}
    outcome = renewal.renew(PLAIN.providers["corporate"], session, grant, "claim", tokens, claims, None, NOW)
    assert isinstance(outcome, SessionOver)
    assert outcome.reason is Reason.SESSION_TOO_LARGE
    assert int(outcome.detail.split()[0]) > 15_000
    assert renewal.decode_outcome(renewal.encode_outcome(outcome)) == outcome
    handle = "h" * 43
    kept = replace(grant, handle=handle)
    assert isinstance(
        renewal.renew(PLAIN.providers["corporate"], session, kept, "c", tokens, claims, None, NOW, handle),
        Renewed,
    )
    claims["groups"] = [f"group-{n:05}" for n in range(9000)]
    outcome = renewal.renew(
        PLAIN.providers["corporate"], session, kept, "c", tokens, claims, None, NOW, handle
    )
    assert isinstance(outcome, SessionOver)


def test_a_refresh_token_that_grows_past_the_cookies_ends_the_session():
    """[2.32]: refused as at login, with its size; it never comes to a cookie that cannot be written."""
    session, grant = begun(PLAIN, id_token={}), Grant("session-1", 0, "refresh-0")
    outcome = renewal.renew(
        PLAIN.providers["corporate"], session, grant, "c", TokenSet("a", 300, "r" * 14_000), None, None, NOW
    )
    assert isinstance(outcome, SessionOver)
    assert outcome.reason is Reason.SESSION_TOO_LARGE
    assert int(outcome.detail.split()[0]) > 14_000


def test_an_access_token_with_450_roles():
    """[2.39]: verified like any other where the store keeps the session, up to the record's 64 KiB."""
    now = jose.NOW
    roles = [f"urn:example:role:{n:04}:administrator-of-a-department" for n in range(450)]
    token = access_token(roles=roles, exp=now + 600, iat=now, scope="x")
    assert len(token) > 16_384
    session = replace(
        begun(JWT, id_token={}),
        access_token=token,
        ends_at=now + 9999,
        seen_at=now,
        renewed_at=now,
        access_expires_at=now + 500,
        claims_at=now,
    )
    assert renewal.record_fits(session, None)
    settings = compiled(providers=provider(access_token="jwt"), session={"mode": "redis"})
    session_id, secret = encode_base64url(bytes(32)), encode_base64url(bytes(range(32)))
    session = replace(session, session_id=session_id)
    handle = Handle(session_id, secret)
    value = settings.ring.seal("handle https://app.example.com", encode_handle(handle), os.urandom(12))
    body = settings.ring.seal_under(
        secret, RECORD_PURPOSE, renewal.encode_outcome(Renewed(session, None)), os.urandom(12)
    )
    facts = {SessionRecord(handle.record, session_id): StoredSession(body)}
    denylist = Denylist()
    denylist.synchronised_at = now
    keys = {"corporate": jose.key_set(now=now)}
    knowledge = Knowledge(settings, keys, denylist, Memory(), lambda _: None, lambda _: False, facts)
    host = b"app.example.com"
    cookie = (b"Cookie", f"{PREFIX}session={value}".encode())
    answer = decide(Request(b"GET", b"/x", host, ((b"Host", host), cookie), "192.0.2.1"), knowledge, now, "r")
    assert isinstance(answer, Forward)
    assert answer.identity is not None
    assert answer.identity.claims["roles"] == roles


names = st.sampled_from(["sub", "acr", "groups", "email", "name"])
words = st.dictionaries(names, st.lists(st.sampled_from("ab")), max_size=5)
turns = st.lists(st.tuples(st.none() | words, st.none() | words), max_size=5)


@given(words, st.none() | words, turns)
def test_r68_nothing_is_kept_that_a_heard_source_took_away(id_token: Any, userinfo: Any, renewals: Any):
    """R68 [1.6]: for any history, what is kept was told last by whoever told it and was heard since."""
    told: dict[str, dict[str, Any]] = {"id_token": id_token} | ({"userinfo": userinfo} if userinfo else {})
    kept = claim_sources.begin(ASKING.providers["corporate"], told, 0.0)  # type: ignore[arg-type]
    session = replace(begun(ASKING), claims=kept.claims, told=kept.told, claims_at=kept.claims_at)
    for at, (first, second) in enumerate(renewals, 1):
        heard: Any = {n: c for n, c in (("id_token", first), ("userinfo", second)) if c is not None}
        before, kept = session, claim_sources.renew(ASKING.providers["corporate"], session, heard, float(at))
        session = replace(session, claims=kept.claims, told=kept.told, claims_at=kept.claims_at)
        for name, value in kept.claims.items():
            tellers = [
                c[name] for s, c in heard.items() if name in c and not (s == "userinfo" and name == "acr")
            ]
            if tellers:
                assert value in tellers
            else:
                assert value == before.claims[name]
                assert all(name not in before.told[s].names for s in heard if s in before.told)
        assert codec.session_from(codec.session_fields(session)) == session


def test_told_is_total():
    """Places beyond the claims and members of the wrong type give no session; unknown sources are ignored."""
    fields = codec.session_fields(begun(PLAIN, id_token={"name": "A"}))
    for odd in (
        [9],
        [],
        "x",
        [[1.0, 99]],
        {"i": [1.0, 99]},
        {"i": [1.0, True]},
        {"i": []},
        {"i": ["x"]},
        None,
    ):
        assert codec.session_from({**fields, "cs": odd}) is None  # type: ignore[dict-item]
    again = codec.session_from({**fields, "cs": {"z": [1.0], "i": [1.0, "a"]}})
    assert again is not None
    assert again.told == {"id_token": Told(1.0, frozenset({"a"}))}
