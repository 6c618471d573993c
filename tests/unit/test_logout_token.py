"""Logout tokens, fault by fault (R51, OpenID Connect Back-Channel Logout 1.0 section 2.6)."""

import json

import pytest

from gateway.core.reasons import Reason
from gateway.core.tokens.jws import UnknownKey
from gateway.core.tokens.logout_token import EVENT, MOST_AGE, LogoutToken, check
from tests.support import jose
from tests.support.jose import CLIENT, ISSUER, NOW
from tests.support.logout import logout_claims, logout_token

PROVIDER = jose.provider()
KEYS = jose.key_set()
SKEW = PROVIDER.clock_skew


def judge(token: str, now: float = NOW, provider=PROVIDER, keys=KEYS):
    return check(token, provider, keys, now)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sub": ...},
        {"sid": ...},
        {"aud": [CLIENT]},
        {"aud": ["another", CLIENT]},
        {"typ": "logout+jwt"},
        {"typ": "application/logout+jwt"},
        {"typ": "LOGOUT+JWT"},
        {"typ": "JWT"},
        {"typ": None},
        {"events": {EVENT: {"more": 1}, "https://example.com/other": {}}},
        {"iat": int(NOW) + SKEW},
        {"iat": int(NOW) - MOST_AGE - SKEW + 1},
        {"exp": int(NOW) - SKEW + 1},
        {"unknown": {"claims": ["are", "ignored"]}},
    ],
)
def test_good_ones(changes):
    """Everything that section 2.4 allows; the type is recommended, not demanded."""
    found = judge(logout_token(**changes))
    assert isinstance(found, LogoutToken)
    assert found.issuer == ISSUER
    assert found.subject == (None if changes.get("sub") is ... else "alice")
    assert found.sid == (None if changes.get("sid") is ... else "sid-1")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # the faults of the OpenID Foundation's plans
        ({"events": ...}, Reason.TOKEN_CLAIMS),
        ({"nonce": "n"}, Reason.TOKEN_NONCE),
        ({"aud": "another"}, Reason.TOKEN_AUDIENCE),
        ({"events": {"http://schemas.openid.net/event/other": {}}}, Reason.TOKEN_CLAIMS),
        ({"iss": "https://other.example"}, Reason.TOKEN_ISSUER),
        # and those that are near
        ({"nonce": None}, Reason.TOKEN_NONCE),
        ({"aud": ...}, Reason.TOKEN_AUDIENCE),
        ({"aud": [CLIENT, 7]}, Reason.TOKEN_AUDIENCE),
        ({"aud": CLIENT + "x"}, Reason.TOKEN_AUDIENCE),
        ({"iss": ISSUER + "/"}, Reason.TOKEN_ISSUER),
        ({"iss": ...}, Reason.TOKEN_ISSUER),
        ({"events": [EVENT]}, Reason.TOKEN_CLAIMS),
        ({"events": EVENT}, Reason.TOKEN_CLAIMS),
        ({"events": {EVENT: None}}, Reason.TOKEN_CLAIMS),
        ({"events": {EVENT: "{}"}}, Reason.TOKEN_CLAIMS),
        ({"events": {EVENT: []}}, Reason.TOKEN_CLAIMS),
        ({"events": {EVENT.upper(): {}}}, Reason.TOKEN_CLAIMS),
        ({"events": {EVENT + "/": {}}}, Reason.TOKEN_CLAIMS),
        ({"sub": ..., "sid": ...}, Reason.TOKEN_CLAIMS),
        ({"sub": None, "sid": None}, Reason.TOKEN_CLAIMS),
        ({"sub": ""}, Reason.TOKEN_CLAIMS),
        ({"sub": ["alice"]}, Reason.TOKEN_CLAIMS),
        ({"sub": "a" * 256}, Reason.TOKEN_CLAIMS),
        ({"sid": ""}, Reason.TOKEN_CLAIMS),
        ({"sid": 7}, Reason.TOKEN_CLAIMS),
        ({"sid": "a\x00b"}, Reason.TOKEN_CLAIMS),
        ({"jti": ...}, Reason.TOKEN_CLAIMS),
        ({"jti": 7}, Reason.TOKEN_CLAIMS),
        ({"jti": ""}, Reason.TOKEN_CLAIMS),
        ({"exp": None}, Reason.TOKEN_CLAIMS),
        ({"exp": ..., "iat": ...}, Reason.TOKEN_CLAIMS),
        ({"exp": ..., "iat": int(NOW) - MOST_AGE - SKEW}, Reason.TOKEN_EXPIRED),
        ({"exp": ..., "jti": ...}, Reason.TOKEN_CLAIMS),
        ({"exp": "soon"}, Reason.TOKEN_CLAIMS),
        ({"exp": int(NOW) - SKEW}, Reason.TOKEN_EXPIRED),
        ({"iat": ...}, Reason.TOKEN_CLAIMS),
        ({"iat": True}, Reason.TOKEN_CLAIMS),
        ({"iat": int(NOW) + SKEW + 1}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": int(NOW) - MOST_AGE - SKEW, "exp": int(NOW) + 86400}, Reason.TOKEN_EXPIRED),
        ({"nbf": int(NOW) + SKEW + 1}, Reason.TOKEN_NOT_YET_VALID),
        ({"typ": "at+jwt"}, Reason.TOKEN_TYPE),
        ({"typ": "secevent+jwt"}, Reason.TOKEN_TYPE),
        ({"typ": 7}, Reason.TOKEN_TYPE),
        ({"alg": "ES256"}, UnknownKey),
        ({"alg": "PS256"}, Reason.TOKEN_SIGNATURE),
        ({"name": "unknown"}, UnknownKey),
    ],
)
def test_r51_each_fault(changes, reason):
    """R51: one fault is enough, and each has its word."""
    found = judge(logout_token(**changes))
    assert found is reason or (reason is UnknownKey and isinstance(found, UnknownKey))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "HS512"])
def test_r18_alg_none_and_hmac(alg):
    """R18, backchannel-alg-none, backchannel-wrong-alg: unsigned, or signed with what everybody may know."""
    header = jose.b64(json.dumps({"alg": alg, "kid": "main", "typ": "logout+jwt"}))
    body = jose.b64(json.dumps(logout_claims()))
    for signature in ("", jose.b64(b"x" * 32)):
        assert judge(f"{header}.{body}.{signature}") in (Reason.TOKEN_ALGORITHM, Reason.TOKEN_MALFORMED)


def test_an_algorithm_that_this_provider_does_not_use():
    """R18: the provider's own list decides, as for its ID tokens."""
    assert judge(logout_token(), provider=jose.provider(algorithms=("ES256",))) is Reason.TOKEN_ALGORITHM


def test_another_keys_signature():
    """The key id is the provider's, the signature somebody else's."""
    forged = jose.raw_sign(
        {"alg": "RS256", "kid": "main", "typ": "logout+jwt"},
        logout_claims(),
        "RS256",
        jose.private_key("RS", "thief"),
    )
    assert judge(forged) is Reason.TOKEN_SIGNATURE


def test_an_id_token_logs_nobody_out():
    """Cross-JWT confusion, section 4.1: neither with nor without its nonce."""
    assert judge(jose.sign(jose.id_claims())) is Reason.TOKEN_NONCE
    assert judge(jose.sign(jose.id_claims(nonce=..., jti="j"))) is Reason.TOKEN_CLAIMS


def test_r28_keys_that_must_not_be_used_any_more():
    """R28: stale keys are no keys."""
    assert isinstance(judge(logout_token(), keys=None), UnknownKey)
    assert isinstance(judge(logout_token(), keys=jose.key_set(stale_after=NOW)), UnknownKey)


def test_what_is_remembered_outlives_what_is_accepted():
    """A replay is refused for as long as the check accepts the token, and no longer remembered than that."""
    for exp in (int(NOW) + 60, int(NOW) + 10 * 86400):
        token = logout_token(exp=exp)
        until = judge(token).accepted_until
        assert until <= NOW + MOST_AGE + SKEW
        assert isinstance(judge(token, until - 0.001), LogoutToken)
        assert judge(token, until) is Reason.TOKEN_EXPIRED


def test_the_replay_id_is_of_issuer_and_jti_together():
    """Two providers may draw the same jti; the same one twice is the same."""
    first, again = judge(logout_token()), judge(logout_token(sid="another", iat=int(NOW)))
    assert first.replay_id == again.replay_id
    assert judge(logout_token(jti="logout-2")).replay_id != first.replay_id
    elsewhere = jose.provider(issuer="https://other.example")
    assert judge(logout_token(iss=elsewhere.issuer), provider=elsewhere).replay_id != first.replay_id


def test_r51_without_exp():
    """R51 [2.36]: some providers send none: the token counts for five minutes from its iat, once."""
    for age in (0, MOST_AGE + SKEW - 1):
        found = judge(logout_token(exp=..., iat=int(NOW) - age))
        assert isinstance(found, LogoutToken)
        assert found.accepted_until == int(NOW) - age + MOST_AGE + SKEW
        assert found.replay_id
