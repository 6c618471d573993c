"""A renewed session is the same person's, or none."""

from typing import Any

import pytest

from gateway.core.provider import TokenSet
from gateway.core.reasons import Reason
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, Renewed, Session, SessionOver
from gateway.core.tokens import id_token
from tests.support import jose
from tests.support.decisions import compiled
from tests.support.pure import ISSUER, NOW

KNOWN = compiled()
SESSION = Session(
    session_id="session-1",
    provider="corporate",
    issuer=ISSUER,
    subject="alice",
    sid="sid-1",
    claims={"sub": "alice", "email": "alice@example.com"},
    scopes=frozenset(),
    login_at=NOW - 10,
    ends_at=NOW + 1000,
    seen_at=NOW - 10,
    renewed_at=NOW - 10,
    access_expires_at=NOW,
)
GRANT = Grant("session-1", 0, "refresh-0")


def renew(id_claims: dict[str, Any] | None, userinfo: dict[str, Any] | None = None, **tokens: Any) -> Any:
    """Renew with a response that has these claims, and no new refresh token unless one is given."""
    response = TokenSet("access-1", 60, **tokens)
    return renewal.renew(
        KNOWN.providers["corporate"], SESSION, GRANT, "claim", response, id_claims, userinfo, NOW
    )


@pytest.mark.parametrize(
    "change", [{"iss": "https://other.example"}, {"iss": ISSUER + "/"}, {"sub": "bob"}, {"sub": ""}]
)
def test_r35_somebody_else(change: dict[str, str]):
    """R35: another issuer or subject ends the session; nothing of the response is taken over."""
    outcome = renew({"iss": ISSUER, "sub": "alice"} | change, refresh_token="refresh-1")
    assert outcome == SessionOver(Reason.TOKEN_CLAIMS)


def test_r35_another_audience():
    """R35: at a refresh, where no nonce is expected, the audience is still this client."""
    token = jose.sign(jose.id_claims(aud="another-client", nonce=...))
    verdict = id_token.check(token, jose.provider(), jose.key_set(), jose.NOW, nonce=None, access_token=None)
    assert verdict is Reason.TOKEN_AUDIENCE


def test_r36_what_is_left_out_is_kept():
    """R36: without an ID token or a refresh token, claims, sid and the old refresh token go on."""
    outcome = renew(None)
    assert isinstance(outcome, Renewed)
    assert outcome.session.claims == SESSION.claims
    assert outcome.session.sid == "sid-1"
    assert outcome.session.login_at == SESSION.login_at
    assert outcome.session.ends_at == SESSION.ends_at
    assert outcome.grant is not None
    assert outcome.grant.refresh_token == "refresh-0"
    assert outcome.session.generation == 1


def test_r42_a_refresh_prolongs_no_session_beyond_its_end():
    """R42: the absolute end stays, whatever the provider says about its tokens."""
    outcome = renewal.renew(
        KNOWN.providers["corporate"],
        SESSION,
        GRANT,
        "claim",
        TokenSet("a", 1e9, "refresh-1"),
        None,
        None,
        NOW,
    )
    assert isinstance(outcome, Renewed)
    assert outcome.session.ends_at == SESSION.ends_at


def test_userinfo_about_somebody_else_is_not_taken_over():
    """R30: its subject must match at a refresh as well; the session goes on without it."""
    outcome = renew({"iss": ISSUER, "sub": "alice"}, {"sub": "bob", "email": "bob@example.com"})
    assert isinstance(outcome, Renewed)
    assert "bob@example.com" not in str(outcome.session.claims)


@pytest.mark.parametrize(
    ("expires_in", "exp", "expected"),
    [
        (60.0, NOW + 900, NOW + 60),
        (None, NOW + 900, NOW + 900),
        (None, NOW, NOW + 300),
        (None, NOW - 5, NOW + 300),
        (None, "soon", NOW + 300),
        (None, None, NOW + 300),
    ],
)
def test_when_the_access_token_expires(expires_in: float | None, exp: object, expected: float):
    """[2.6]: where the response does not tell, the ID token's exp stands in, or else 300 s."""
    claims: dict[str, Any] = {"exp": exp}
    assert renewal.access_expiry(TokenSet("a", expires_in), claims, NOW) == expected
    assert renewal.access_expiry(TokenSet("a", None), None, NOW) == NOW + 300


@pytest.mark.parametrize(
    ("expires_in", "exp", "expected"),
    [
        (None, NOW + 120, NOW + 120),
        (600.0, NOW + 120, NOW + 120),
        (60.0, NOW + 120, NOW + 60),
        (None, NOW - 5, NOW + 900),
        (None, "soon", NOW + 900),
    ],
)
def test_a_verified_access_token_is_renewed_before_its_own_end(
    expires_in: float | None, exp: object, expected: float
):
    """[2.6]: with ``access_token: jwt`` its own exp counts, or the session would be refused in between."""
    tokens, own = TokenSet("a", expires_in), {"exp": exp}
    assert renewal.access_expiry(tokens, {"exp": NOW + 900}, NOW, own) == expected
