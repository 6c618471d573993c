"""Bearer JWTs: who is calling, or why not."""

from typing import Any

import pytest

from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.tokens import access_token
from gateway.core.tokens.jws import UnknownKey
from tests.support.jose import (
    API,
    CLIENT,
    ISSUER,
    NOW,
    access_claims,
    id_claims,
    jwk,
    key_set,
    provider,
    sign,
)

MAIN = provider()
KEYS = key_set()


def judge(
    claims: dict[str, Any], *, header: dict[str, Any] | None = None, now: float = NOW, **changes: Any
) -> Any:
    token = sign(claims, **(header or {}))
    return access_token.check(token, provider(**changes) if changes else MAIN, KEYS, now)


def test_good_token_tells_who() -> None:
    """R26: the identity is issuer and subject together, with times, ids and scopes."""
    assert judge(access_claims(sid="s-1")) == Identity(
        kind="bearer",
        provider="main",
        issuer=ISSUER,
        subject="alice",
        claims=access_claims(sid="s-1"),
        scopes=frozenset(("openid", "api")),
        issued_at=NOW - 10 - 30,
        expires_at=NOW + 300,
        jti="token-1",
        sid="s-1",
    )


def test_absent_iat_counts_as_zero() -> None:
    """A token without ``iat`` is judged by the denylist as the oldest of all."""
    assert judge(access_claims(iat=...), clock_skew=30).issued_at == -30.0


@pytest.mark.parametrize("skew", [0, 30])
def test_r66_a_providers_clock_that_is_ahead_saves_no_token(skew: int) -> None:
    """R66 [1.4]: the denylist judges ``iat`` less the clock skew: until then and the skew is refused."""
    for iat, refused in ((NOW, True), (NOW + skew, True), (NOW + skew + 1, False)):
        judged = judge(access_claims(iat=iat, sid="s-1"), clock_skew=skew, now=NOW + skew + 1)
        for kind, value in (("sub", judged.subject), ("sid", "s-1"), ("all", "")):
            denylist = Denylist()
            denylist.add(DenyEntry(kind, judged.issuer, value, NOW, NOW + 99))
            assert denylist.judge(judged, NOW) is refused


@pytest.mark.parametrize(
    "issuer", [..., None, "", ISSUER + "/", ISSUER.upper(), "https://issuer", [ISSUER], 1]
)
def test_issuer_is_exact(issuer: object) -> None:
    """R26: not a prefix, not another case, no trailing slash more, no list."""
    assert judge(access_claims(iss=issuer)) is Reason.TOKEN_ISSUER


@pytest.mark.parametrize("audience", [API, [API], ["https://other.example", API]])
def test_audience_may_be_one_of_several(audience: object) -> None:
    """R24: one shared audience suffices."""
    assert isinstance(judge(access_claims(aud=audience)), Identity)


@pytest.mark.parametrize(
    "audience",
    [..., None, "", [], "https://other.example", [API, 1], {API: 1}, 1, API + "/", [[API]], "https://api"],
)
def test_audience_is_enforced(audience: object) -> None:
    """R24: no audience, a foreign one or a malformed one is refused."""
    assert judge(access_claims(aud=audience)) is Reason.TOKEN_AUDIENCE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exp": NOW - 29.5}, None),
        ({"exp": NOW - 30}, Reason.TOKEN_EXPIRED),
        ({"exp": 0}, Reason.TOKEN_EXPIRED),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 30.5}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW + 30}, None),
        ({"iat": NOW + 30.5}, Reason.TOKEN_NOT_YET_VALID),
        ({"exp": ...}, Reason.TOKEN_CLAIMS),
        ({"exp": None}, Reason.TOKEN_CLAIMS),
        ({"exp": True}, Reason.TOKEN_CLAIMS),
        ({"exp": str(int(NOW) + 300)}, Reason.TOKEN_CLAIMS),
        ({"exp": [NOW + 300]}, Reason.TOKEN_CLAIMS),
        ({"exp": 1e30}, Reason.TOKEN_CLAIMS),
        ({"exp": 10**39}, Reason.TOKEN_CLAIMS),
        ({"exp": -1}, Reason.TOKEN_CLAIMS),
        ({"nbf": "soon"}, Reason.TOKEN_CLAIMS),
        ({"nbf": False}, Reason.TOKEN_CLAIMS),
        ({"iat": True}, Reason.TOKEN_CLAIMS),
        ({"iat": None}, Reason.TOKEN_CLAIMS),
    ],
    ids=str,
)
def test_times(change: dict[str, object], reason: Reason | None) -> None:
    """R21: ``exp``, ``nbf`` and ``iat`` with a bounded skew; numbers only."""
    verdict = judge(access_claims(**change), clock_skew=30)
    assert isinstance(verdict, Identity) if reason is None else verdict is reason


def test_skew_is_the_configured_one() -> None:
    """R21: without any skew, the second of ``exp`` is already too late."""
    assert judge(access_claims(exp=NOW), clock_skew=0) is Reason.TOKEN_EXPIRED
    assert isinstance(judge(access_claims(exp=NOW), clock_skew=1), Identity)


@pytest.mark.parametrize(
    "change",
    [
        {"sub": ...},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["alice"]},
        {"sub": "a" * 256},
        {"sub": "alice\r\nX-Forwarded-User: root"},
        {"sub": "a\0b"},
        {"jti": 7},
        {"jti": ""},
        {"sid": ["s"]},
        {"sid": "s" * 1025},
        {"scope": 1},
        {"scope": ["api", 1]},
        {"scope": {"api": True}},
        {"scp": [[]], "scope": ...},
    ],
    ids=str,
)
def test_malformed_claims_refuse(change: dict[str, object]) -> None:
    """R29: a claim of the wrong type or size is a refusal, never an exception or a guess."""
    assert judge(access_claims(**change)) is Reason.TOKEN_CLAIMS


@pytest.mark.parametrize(
    ("change", "scopes"),
    [
        ({"scope": "a  b "}, ["a", "b"]),
        ({"scope": ""}, []),
        ({"scope": ...}, []),
        ({"scope": ["a", "b"]}, ["a", "b"]),
        ({"scope": ..., "scp": "a b"}, ["a", "b"]),
        ({"scope": ..., "scp": ["a"]}, ["a"]),
        ({"scope": "a", "scp": "root"}, ["a"]),
        ({"scope": " ".join(f"s{number}" for number in range(900))}, [f"s{number}" for number in range(900)]),
    ],
    ids=str,
)
def test_scopes(change: dict[str, object], scopes: list[str]) -> None:
    """``scope`` as RFC 9068 has it, or ``scp`` as others do; ``scope`` wins."""
    assert judge(access_claims(**change)).scopes == frozenset(scopes)


def test_null_identifiers_are_absent() -> None:
    """Some serialisers write null for what is not there."""
    identity = judge(access_claims(jti=None, sid=None))
    assert (identity.jti, identity.sid) == (None, None)


@pytest.mark.parametrize("change", [{}, {"nonce": ...}], ids=["from login", "from refresh"])
@pytest.mark.parametrize("audiences", [(API,), (CLIENT,), (API, CLIENT)], ids=str)
@pytest.mark.parametrize("typ", [None, "JWT"])
def test_id_tokens_are_no_bearer_tokens(
    change: dict[str, object], audiences: tuple[str, ...], typ: str | None
) -> None:
    """R23: an ID token is refused, even where the operator lists the client as an audience."""
    verdict = judge(id_claims(**change), header={"typ": typ}, audiences=audiences)
    assert verdict is (Reason.TOKEN_TYPE if CLIENT in audiences or not change else Reason.TOKEN_AUDIENCE)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Logout"},
        {"cnf": {"jkt": "thumbprint"}},
        {"cnf": {"x5t#S256": "thumbprint"}},
    ],
    ids=str,
)
def test_tokens_of_other_kinds_are_refused(change: dict[str, object]) -> None:
    """R23: ID, refresh and logout tokens, and tokens that demand a proof of possession, are no bearers."""
    assert judge(access_claims(**change)) is Reason.TOKEN_TYPE


@pytest.mark.parametrize(
    "typ", ["logout+jwt", "dpop+jwt", "secevent+jwt", "application/logout+jwt", "", "x", 1, ["JWT"], {}]
)
def test_foreign_header_types_are_refused(typ: object) -> None:
    """R23: an explicit type of another kind, or one of the wrong JSON type, is refused."""
    assert judge(access_claims(), header={"typ": typ}) is Reason.TOKEN_TYPE


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", None])
def test_usual_header_types_pass_by_default(typ: str | None) -> None:
    """R23: access tokens of type ``JWT`` or without a type are met in the field."""
    assert isinstance(judge(access_claims(), header={"typ": typ}), Identity)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_enforced_type_passes(typ: str) -> None:
    """R23: with ``access_token_type: at+jwt`` RFC 9068's type passes in each of its spellings."""
    assert isinstance(judge(access_claims(), header={"typ": typ}, access_token_type="at+jwt"), Identity)


@pytest.mark.parametrize("typ", ["JWT", None, "bearer", "at+jwt;x"])
def test_enforced_type_refuses(typ: str | None) -> None:
    """R23: with ``access_token_type: at+jwt`` anything else is refused (RFC 9068 section 4)."""
    assert judge(access_claims(), header={"typ": typ}, access_token_type="at+jwt") is Reason.TOKEN_TYPE


def test_client_as_audience_needs_a_sign_of_an_access_token() -> None:
    """R23: where the client itself is the audience, a scope or the header's type tells the difference."""
    claims = access_claims(aud=CLIENT)
    assert isinstance(judge(claims, audiences=(CLIENT,)), Identity)
    assert judge(access_claims(aud=CLIENT, scope=...), audiences=(CLIENT,)) is Reason.TOKEN_TYPE
    typed = judge(access_claims(aud=CLIENT, scope=...), header={"typ": "at+jwt"}, audiences=(CLIENT,))
    assert isinstance(typed, Identity)


def test_lacking_keys_are_asked_for() -> None:
    """R27, R28: no keys, stale keys or an unknown key id ask for keys; a bad algorithm does not."""
    token = sign(access_claims())
    assert access_token.check(token, MAIN, None, NOW) == UnknownKey("main")
    stale = key_set(stale_after=NOW)
    assert access_token.check(token, MAIN, stale, NOW) == UnknownKey("main")
    assert isinstance(access_token.check(token, MAIN, stale, NOW - 1), Identity)
    assert access_token.check(sign(access_claims(), name="next"), MAIN, KEYS, NOW) == UnknownKey("next")
    assert access_token.check(token, provider(algorithms=("ES256",)), None, NOW) is Reason.TOKEN_ALGORITHM


def test_forged_signature_is_refused_first() -> None:
    """A forged token learns nothing about its claims, however wrong they are."""
    forged = sign(access_claims(exp=0, iss="x"), name="attacker", kid="main")
    assert access_token.check(forged, MAIN, KEYS, NOW) is Reason.TOKEN_SIGNATURE
    assert jwk(name="attacker")["n"] != jwk()["n"]


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "é" * 10, "x" * 100_000])
def test_garbage_is_malformed(token: str) -> None:
    """R29: garbage is a 401, not a 500."""
    assert access_token.check(token, MAIN, KEYS, NOW) is Reason.TOKEN_MALFORMED
    assert access_token.issuer_of(token) is Reason.TOKEN_MALFORMED


def test_issuer_chooses_the_provider() -> None:
    """The unverified issuer is read; a token without one names nobody."""
    assert access_token.issuer_of(sign(access_claims())) == ISSUER
    for issuer in (..., None, "", 1, [ISSUER]):
        assert access_token.issuer_of(sign(access_claims(iss=issuer))) is Reason.TOKEN_ISSUER
