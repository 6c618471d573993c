"""Introspection in the pure core: which tokens are asked about, what an answer means, how long it counts."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks.every import check as check_settings
from gateway.config.checks.every import warn
from gateway.config.introspection import introspecting
from gateway.core.fault import Ambiguous, Fault, NeverSent, Paused
from gateway.core.identity import Identity
from gateway.core.provider import ProviderMetadata
from gateway.core.reasons import Reason
from gateway.core.tokens.introspection import (
    Introspection,
    check,
    check_signed,
    is_opaque,
    lasts_until,
)
from gateway.core.tokens.jws import UnknownKey
from gateway.edge.limits.strangers import AT_ONCE, Strangers
from gateway.edge.providers.introspection import Answers
from gateway.oauth.errors import MessageError
from gateway.oauth.introspection import build_request, is_signed, process_response
from tests.support.configuration import KEY as SECRET
from tests.support.jose import API, CLIENT, ISSUER, NOW, jwk, key_set, provider, sign
from tests.support.pure import settings

PROVIDER = replace(provider(introspection="json"), kept_claims=frozenset({"email", "groups"}))
GOOD = {"active": True, "sub": "alice", "aud": API, "exp": NOW + 300, "iat": NOW - 1}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ("sub", "aud", "iss", "exp", "iat", "nbf", "jti", "sid", "scope", "token_type", "typ", "cnf")


def answer(now: float = NOW, **claims: Any) -> Introspection:
    found = {name: value for name, value in (GOOD | claims).items() if value is not ...}
    return Introspection(found, now, lasts_until(found, PROVIDER, now))


@pytest.mark.parametrize(
    ("token", "is_one"),
    [
        ("abc", True),
        ("a.b", True),
        ("a.b.c", True),
        ("ya29.a0Af_x", True),
        ("v2.local.x.y", True),
        ("eyJhbGciOiJkaXIifQ.a.b.c.d", True),
        ("eyJhbGciOiJub25lIn0.e30.", False),
        ("eyJ4.e30.x", False),
        ("IHsifQ.e30.x", False),
        ("CQp7IH0.a.b", False),
        ("gwk_abc", False),
        ("gwk_a.b.c", False),
        ("..", True),
    ],
)
def test_which_tokens_are_asked_about(token: str, is_one: bool):
    """[11.6] What is no JWT, not even a broken one, and none of our own keys."""
    assert is_opaque(token) is is_one


def test_what_an_answer_names():
    """R26 [11.6]: issuer and subject together; of the claims those that anything here uses."""
    who = check(
        answer(email="a@example.com", picture="x" * 999, scope="a b", jti="j", sid="s"), PROVIDER, NOW
    )
    assert isinstance(who, Identity)
    assert (who.kind, who.issuer, who.subject, who.jti, who.sid) == ("bearer", ISSUER, "alice", "j", "s")
    assert who.scopes == {"a", "b"}
    assert who.claims["email"] == "a@example.com"
    assert "picture" not in who.claims
    assert who.expires_at == NOW + 300
    assert who.issued_at == NOW - 1 - PROVIDER.clock_skew


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_garbage_never_raises_and_never_widens(claims: dict[str, Any]):
    """R21, R24, R29 [11.6]: whatever is said, whoever is let in is somebody of ours, now."""
    found = {"active": True, **claims}
    until = lasts_until(found, PROVIDER, NOW)
    assert NOW < until <= NOW + 60
    who = check(Introspection(found, NOW, until), PROVIDER, NOW)
    if isinstance(who, Identity):
        aud = claims["aud"]
        assert aud == API or API in aud
        assert who.subject == claims["sub"]
        assert claims.get("iss") in (None, ISSUER)
        assert claims.get("cnf") is None
        assert claims.get("exp") is None or claims["exp"] > NOW - PROVIDER.clock_skew


@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        ({}, 60),
        ({"exp": NOW + 20}, 20),
        ({"exp": NOW + 999}, 60),
        ({"exp": NOW - 10}, 20),
        ({"exp": NOW - 30}, 5),
        ({"exp": 0}, 5),
        ({"exp": ...}, 60),
        ({"exp": "x"}, 60),
    ],
)
def test_how_long_an_answer_counts(claims: dict[str, Any], seconds: float):
    """R21 [11.6]: a minute, and never beyond ``exp``; within the skew of clocks no longer than that."""
    assert answer(**claims).until == NOW + seconds
    assert lasts_until(None, PROVIDER, NOW) == NOW + 5


def test_a_token_without_an_end_has_that_of_its_answer():
    """R49 [11.6]: so what it opened does not stay open for ever."""
    who = check(answer(exp=...), PROVIDER, NOW)
    assert isinstance(who, Identity)
    assert who.expires_at == NOW + 60


def signed(header: dict[str, Any] | None = None, **claims: Any) -> bytes:
    told = {"iss": ISSUER, "aud": CLIENT, "iat": NOW, "token_introspection": GOOD} | claims
    told = {name: value for name, value in told.items() if value is not ...}
    return sign(told, **{"typ": "token-introspection+jwt", **(header or {})}).encode()


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (signed(), GOOD),
        (signed(aud=["other", CLIENT]), GOOD),
        (signed({"typ": "application/token-introspection+jwt"}), GOOD),
        (signed(iat=NOW - 80), GOOD),
        (signed({"typ": "JWT"}), Reason.TOKEN_TYPE),
        (signed({"typ": "at+jwt"}), Reason.TOKEN_TYPE),
        (signed({"typ": None}), Reason.TOKEN_TYPE),
        (signed(iss="https://other.example"), Reason.TOKEN_ISSUER),
        (signed(iss=...), Reason.TOKEN_ISSUER),
        (signed(aud="other"), Reason.TOKEN_AUDIENCE),
        (signed(aud=...), Reason.TOKEN_AUDIENCE),
        (signed(iat=...), Reason.TOKEN_CLAIMS),
        (signed(iat=NOW - 95), Reason.TOKEN_EXPIRED),
        (signed(iat=NOW + 99), Reason.TOKEN_NOT_YET_VALID),
        (signed(exp=NOW - 99), Reason.TOKEN_EXPIRED),
        (signed(token_introspection=...), Reason.TOKEN_CLAIMS),
        (signed(token_introspection=[GOOD]), Reason.TOKEN_CLAIMS),
        (signed() + b"x", Reason.TOKEN_SIGNATURE),
        (b"", Reason.TOKEN_MALFORMED),
        (b"{}", Reason.TOKEN_MALFORMED),
        (signed() + b".x.y", Reason.TOKEN_MALFORMED),
    ],
)
def test_signed_answers(token: bytes, verdict: Any):
    """R18, R19, R31, RFC 9701 section 5 [11.6]: by the provider, for us, of this kind, and given now."""
    found = check_signed(token, PROVIDER, key_set(), NOW)
    if verdict is Reason.TOKEN_SIGNATURE:
        assert isinstance(found, Reason)
    else:
        assert found == verdict


def test_a_signed_answer_by_a_key_that_is_not_known():
    """R27 [11.6]: it has the keys fetched again, as any token of our own calls."""
    assert isinstance(check_signed(signed(), PROVIDER, key_set(jwk(name="second")), NOW), UnknownKey)


METADATA = ProviderMetadata(ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/k")


def test_the_request():
    """RFC 7662 section 2.1, RFC 9701 section 4 [11.6]: a form of a client that authenticates."""
    metadata = replace(METADATA, introspection_endpoint=f"{ISSUER}/i")
    request = build_request(metadata, PROVIDER.settings, "a b&token=c")
    assert request.body == b"token=a+b%26token%3Dc&token_type_hint=access_token"
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.headers["Accept"] == "application/json"
    assert "a b" not in repr(request)
    asking = build_request(metadata, provider(introspection="jwt").settings, "x")
    assert asking.headers["Accept"] == "application/token-introspection+jwt"
    for missing in (
        METADATA,
        replace(METADATA, unusable=(("introspection_endpoint", "endpoint_insecure", ""),)),
    ):
        with pytest.raises(MessageError) as error:
            build_request(missing, PROVIDER.settings, "x")
        assert error.value.is_misconfiguration


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", "introspection_malformed"),
        (200, b"[]", "introspection_malformed"),
        (200, b"{}", "introspection_malformed"),
        (200, b'{"active": "true"}', "introspection_malformed"),
        (200, b'{"active": 1}', "introspection_malformed"),
        (200, b'{"active": null}', "introspection_malformed"),
        (200, b'{"active": true, "active": false}', "introspection_malformed"),
        (200, b'{"active": true, "x": "' + b"y" * 999 + b'"}', "introspection_malformed"),
        (204, b"", "introspection_unavailable"),
        (302, b'{"active": true}', "introspection_unavailable"),
        (400, b'{"active": true}', "introspection_unavailable"),
        (400, b'{"error": "invalid_request"}', "introspection_unavailable"),
        (400, b'{"error": "invalid_client"}', "introspection_unauthorized"),
        (401, b"", "introspection_unauthorized"),
        (403, b'{"active": true}', "introspection_unauthorized"),
        (500, b'{"active": true}', "introspection_unavailable"),
        (503, b"", "introspection_unavailable"),
    ],
)
def test_what_is_no_answer(status: int, body: bytes, code: str):
    """R29 [11.6]: neither yes nor no: told as what it is, and never a yes."""
    with pytest.raises(MessageError) as error:
        process_response(status, body, 500)
    assert error.value.code == code
    assert error.value.is_misconfiguration is (code == "introspection_unauthorized")


def test_answers():
    """RFC 7662 section 2.2 [11.6]: yes with its members, or no and nothing more."""
    assert process_response(200, b'{"active": true, "sub": "a"}', 500) == {"active": True, "sub": "a"}
    assert process_response(200, b'\xef\xbb\xbf{"active": false, "sub": "a"}', 500) is None
    assert is_signed(200, "Application/Token-Introspection+JWT; charset=utf-8")
    assert not is_signed(200, "application/jwt")
    assert not is_signed(401, "application/token-introspection+jwt")


def test_what_is_kept_of_answers():
    """[11.6] Those asked for last, in number and in bytes; one that counts no more is gone."""
    kept = Answers(3, 100)
    for name in (b"a", b"b", b"c"):
        kept.put(name, Introspection({}, NOW, NOW + 10), 10)
    assert kept.get(b"a", NOW)
    kept.put(b"d", Introspection({}, NOW, NOW + 10), 10)
    assert [name for name in (b"a", b"b", b"c", b"d") if kept.get(name, NOW)] == [b"a", b"c", b"d"]
    kept.put(b"e", Introspection({}, NOW, NOW + 10), 85)
    assert [name for name in (b"a", b"c", b"d", b"e") if kept.get(name, NOW)] == [b"d", b"e"]
    kept.put(b"f", Introspection({}, NOW, NOW + 10), 101)
    assert not len(kept)
    kept.put(b"g", Introspection({}, NOW, NOW + 10), 1)
    assert kept.get(b"g", NOW - 1) is None
    kept.put(b"g", Introspection({}, NOW, NOW + 10), 1)
    assert kept.get(b"g", NOW + 10) is None
    assert kept._bytes == 0


async def test_strangers():
    """[11.6, 11.8] Unknown ones count; good ones and outages do not."""
    now = 0.0
    strangers = Strangers(lambda: now)
    strangers.configure(2)

    async def look(found: bool, error: type[Fault] | None = None, source: str = "issuer") -> None:
        async with strangers.looking("192.0.2.1") as it:
            it.found = found
            if error is not None:
                raise error(source, Reason.ISSUER_UNAVAILABLE)

    for _ in range(9):
        await look(True)
    for error in (NeverSent, Ambiguous, Paused):
        with pytest.raises(error):
            await look(False, error)
    with pytest.raises(Fault):
        await look(False, Fault, "store")
    await look(False)
    with pytest.raises(Fault):
        await look(True, Fault)
    with pytest.raises(Fault) as refused:
        await look(True)
    assert (refused.value.reason, refused.value.source) == (Reason.RATE_LIMITED, "client")
    assert refused.value.retry_after
    async with strangers.looking("192.0.2.2") as it:
        it.found = True
    now = 31.0
    await look(True)
    strangers.configure(0)
    for _ in range(99):
        await look(False)


async def test_turns():
    """[11.6, 11.8] A crowd waits for its turns, and is refused once strangers among it were too many."""
    strangers, gate, inside = Strangers(lambda: 0.0), asyncio.Event(), 0
    strangers.configure(3)

    async def look(found: bool) -> None:
        nonlocal inside
        async with strangers.looking("192.0.2.1") as it:
            inside += 1
            await gate.wait()
            it.found = found

    crowd = [asyncio.create_task(look(True)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inside == AT_ONCE
    crowd[0].cancel()
    gate.set()
    await asyncio.gather(*crowd, return_exceptions=True)
    assert inside == 100
    gate.clear()
    guesses = [asyncio.create_task(look(False)) for _ in range(100)]
    await asyncio.sleep(0)
    gate.set()
    ends = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(each, Fault) for each in ends) == 100 - AT_ONCE
    assert not strangers._gates


def two(**second: Any) -> dict[str, Any]:
    return {
        "secret_keys": [SECRET],
        "providers": {
            "corporate": {
                "issuer": ISSUER,
                "client_id": "w",
                "client_secret": "s",
                "audiences": ["a"],
                "introspection": "json",
            },
            "other": {
                "issuer": "https://other.example.com",
                "client_id": "w",
                "client_secret": "s",
                "audiences": ["a"],
                "callback": "/.gateway/callback/other",
                **second,
            },
        },
    }


@pytest.mark.parametrize(
    ("route", "second", "asked"),
    [
        ({}, {}, None),
        ({"provider": "corporate"}, {}, "corporate"),
        ({"provider": "other"}, {}, None),
        ({"provider": "other"}, {"introspection": "jwt"}, "other"),
        ({"providers": ["corporate"]}, {}, "corporate"),
        ({"providers": ["corporate", "other"]}, {}, None),
        ({"providers": ["corporate", "other"], "provider": "corporate"}, {}, "corporate"),
        ({"providers": ["corporate", "other"], "provider": "other"}, {}, None),
    ],
)
def test_who_is_asked_on_a_route(route: dict[str, Any], second: dict[str, Any], asked: str | None):
    """R70 [11.6]: the one provider that it admits, or that it names among several; nobody by a guess."""
    known = settings({"path": "/", **route}, **two(**second))
    assert not check_settings(known)
    assert introspecting(known, known.routes[0]) == asked
    told = [str(each) for each in warn(known) if "opaque" in str(each)]
    admitted = route.get("providers") or (
        [route["provider"]] if "provider" in route else ["corporate", "other"]
    )
    asks = "corporate" in admitted or "introspection" in second
    assert bool(told) is (asked is None and asks)


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"introspection": "json", "client_auth": "none", "client_secret": None}, "introspection"),
        ({"introspection": "json", "bearer_only": True, "client_id": ..., "client_secret": ...}, "client_id"),
        ({"introspection": "json", "introspection_refused_for": "2m"}, "introspection_refused_for"),
        ({"introspection": "json", "introspection_endpoint": "ftp://x"}, "introspection_endpoint"),
        ({"introspection_endpoint": "https://other.example.com/i"}, "introspection_endpoint"),
    ],
)
def test_what_the_configuration_refuses(change: dict[str, Any], at: str):
    """[11.6] Each at its setting."""
    known = two(**change)
    known["providers"]["other"] = {
        name: value for name, value in known["providers"]["other"].items() if value is not ...
    }
    found = check_settings(settings({"path": "/", "provider": "corporate"}, **known))
    assert f"providers.other.{at}" in [str(each).partition(":")[0] for each in found]


def test_a_long_age_is_warned_of():
    """[11.6] What the provider revokes counts here for so long."""
    known = settings(
        {"path": "/", "provider": "other"}, **two(introspection="json", introspection_max_age="10m")
    )
    assert any("introspection_max_age" in str(each) for each in warn(known))


@given(st.integers(100, 599), st.binary(max_size=200) | JSON.map(lambda each: json.dumps(each).encode()))
def test_garbage_is_no_answer(status: int, body: bytes):
    """R29 [11.6]: whatever comes is an answer that says yes or no, or none; it never raises anything else."""
    try:
        found = process_response(status, body, 100)
    except MessageError:
        return
    assert found is None or found["active"] is True
    assert status in (200, 201)


@given(st.binary(max_size=300))
def test_garbage_is_no_signed_answer(body: bytes):
    """R29 [11.6]: no bytes raise anything, and none is an answer without a signature."""
    assert isinstance(check_signed(body, PROVIDER, key_set(), NOW), Reason | UnknownKey)
