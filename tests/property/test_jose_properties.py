"""Any bytes into a parser give a value or its one declared error."""

import contextlib
import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core.identity import Identity
from gateway.core.provider import ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.tokens import access_token, id_token
from gateway.core.tokens.jws import Parsed, UnknownKey, Verified, read, verify
from gateway.core.tokens.keys import KeySet, build_key_set
from gateway.oauth import discovery, jwks, token, userinfo
from gateway.oauth.errors import MessageError
from gateway.syntax.encoding import decode_base64url, encode_base64url, parse_object
from tests.support.jose import (
    ISSUER,
    NOW,
    access_claims,
    b64,
    id_claims,
    jwk,
    key_set,
    private_key,
    provider,
    raw_sign,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TIMES = JSON | st.integers(int(NOW) - 100, int(NOW) + 400)
CLAIM_NAMES = sorted(
    {*access_claims(), *id_claims(), "nbf", "azp", "scp", "at_hash", "auth_time", "typ", "cnf"}
)
ALL = ("RS256", "PS256", "ES256", "EdDSA")
KEYS = key_set(jwk(), jwk("ES256", kid="e"))
ISSUED_AT_FIRST = provider()


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


SEGMENTS = (
    st.binary(max_size=60).map(b64) | JSON.map(lambda value: b64(as_bytes(value))) | st.text(max_size=10)
)
TOKENS = (
    st.binary(max_size=200) | st.text(max_size=200) | st.lists(SEGMENTS, min_size=2, max_size=4).map(".".join)
)


@given(TOKENS)
@example("..")
@example(b"\xff.\xff.\xff")
def test_any_bytes_into_read(value: str | bytes) -> None:
    """R29: a JWT's parts or ``TOKEN_MALFORMED``, and never an exception."""
    parsed = read(value)
    assert parsed is Reason.TOKEN_MALFORMED or isinstance(parsed, Parsed)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), JSON), JSON, st.binary(max_size=80)
)
def test_any_json_into_read_and_verify(header: dict[str, Any], claims: Any, signature: bytes) -> None:
    """R18, R29: no header, claims or signature that an attacker makes up ever verifies or raises."""
    alg_and_header = {"alg": "RS256", "kid": "main", **header}
    parsed = read(f"{b64(as_bytes(alg_and_header))}.{b64(as_bytes(claims))}.{b64(signature)}")
    if isinstance(parsed, Parsed):
        verdict = verify(parsed, KEYS, ALL)
        assert isinstance(verdict, UnknownKey | Reason)
        assert not isinstance(verdict, Verified)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    st.dictionaries(st.sampled_from(CLAIM_NAMES), TIMES, max_size=5),
    st.dictionaries(st.sampled_from(["typ", "x5c", "cty"]), JSON, max_size=2),
)
def test_any_claims_well_signed(changes: dict[str, Any], header: dict[str, Any]) -> None:
    """R21-R29: whatever a provider signs gives an identity with sound fields, or a reason."""
    for base in (access_claims(), id_claims()):
        signed = raw_sign(
            {"alg": "ES256", "kid": "e", **header}, {**base, **changes}, "ES256", private_key("ES256")
        )
        bearer = access_token.check(signed, ISSUED_AT_FIRST, KEYS, NOW)
        assert isinstance(bearer, Identity | Reason)
        if isinstance(bearer, Identity):
            assert 0 < len(bearer.subject) <= 255
            assert bearer.issuer == ISSUER
            assert bearer.expires_at > NOW - 31
        login = id_token.check(signed, ISSUED_AT_FIRST, KEYS, NOW, nonce="the-nonce", access_token="at")
        assert isinstance(login, dict | Reason)


@given(st.data())
def test_any_change_of_a_token_refuses(data: st.DataObject) -> None:
    """R29: one character of a good token exchanged, inserted or dropped, and it is no longer good."""
    signed = raw_sign({"alg": "ES256", "kid": "e"}, access_claims(), "ES256", private_key("ES256"))
    assert isinstance(access_token.check(signed, ISSUED_AT_FIRST, KEYS, NOW), Identity)
    place = data.draw(st.integers(0, len(signed) - 1))
    sign = data.draw(st.characters(codec="utf-8"))
    kept = data.draw(st.integers(0, 1))
    changed = signed[:place] + sign + signed[place + kept :]
    if changed != signed:
        verdict = access_token.check(changed, ISSUED_AT_FIRST, KEYS, NOW)
        assert isinstance(verdict, Reason | UnknownKey)
    dropped = signed[:place] + signed[place + 1 :]
    if dropped != signed:
        assert not isinstance(access_token.check(dropped, ISSUED_AT_FIRST, KEYS, NOW), Identity)


@given(st.binary(max_size=100))
def test_base64url_has_one_spelling(data: bytes) -> None:
    """R31: what is encoded is decoded, and nothing else decodes to it."""
    encoded = encode_base64url(data)
    assert decode_base64url(encoded, 200) == data
    assert decode_base64url(encoded + "=", 200) is None


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_base64url_is_canonical(value: bytes | str) -> None:
    """R31: whatever decodes encodes to the very same text."""
    decoded = decode_base64url(value, 40)
    if decoded is not None:
        assert encode_base64url(decoded) == (value if isinstance(value, str) else value.decode())


@given(JSON)
def test_json_objects_come_back(value: Any) -> None:
    """What is parsed is what was written; only objects pass."""
    octets = as_bytes(value)
    parsed = parse_object(octets, 1 << 20)
    if parsed is not None:
        assert json.loads(octets) == parsed
        json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode()


BODIES = st.binary(max_size=200) | JSON.map(as_bytes)
KEY_MEMBERS = ["kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y", "d", "k"]


@given(
    st.lists(st.dictionaries(st.sampled_from(KEY_MEMBERS), JSON) | JSON, max_size=4),
    st.sampled_from(["RS", "ES256", "EdDSA"]),
)
def test_any_key_set(members: list[Any], kind: str) -> None:
    """R31: any list of keys gives a table in which every candidate is unique."""
    mixed = [{**jwk(kind), **each} if isinstance(each, dict) else each for each in members]
    keys = build_key_set(mixed, NOW, NOW + 1)
    assert all(len(found) == 1 for (kid, _), found in keys.keys.items() if kid is not None)
    with contextlib.suppress(MessageError):
        assert isinstance(jwks.process_response(as_bytes({"keys": members}), NOW, 1), KeySet)


@given(BODIES)
def test_any_bytes_into_the_messages(body: bytes) -> None:
    """Every parser of a provider's answer gives a value or a MessageError."""
    with contextlib.suppress(MessageError):
        assert isinstance(jwks.process_response(body, NOW, 1), KeySet)
    with contextlib.suppress(MessageError):
        document = discovery.process_response(body, ISSUED_AT_FIRST.settings, allow_insecure_http=False)
        assert isinstance(document, ProviderMetadata)
    with contextlib.suppress(MessageError):
        assert isinstance(userinfo.process_response(200, "application/json", body), dict)


ENDPOINTS = ["authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported"]


@given(st.dictionaries(st.sampled_from(ENDPOINTS), JSON))
def test_any_discovery_document(changes: dict[str, Any]) -> None:
    """R8: members of any type and text give metadata with https endpoints, or a MessageError."""
    document = {"issuer": ISSUER, **dict.fromkeys(ENDPOINTS[:3], f"{ISSUER}/x"), **changes}
    with contextlib.suppress(MessageError):
        metadata = discovery.process_response(
            as_bytes(document), ISSUED_AT_FIRST.settings, allow_insecure_http=False
        )
        assert metadata.token_endpoint.startswith("https://")


TOKEN_MEMBERS = ["access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope", "error"]


@given(
    st.sampled_from([200, 400, 401, 403, 408, 429, 500]) | st.integers(100, 599),
    st.text(max_size=20),
    BODIES | st.dictionaries(st.sampled_from(TOKEN_MEMBERS), JSON).map(as_bytes),
    st.none() | st.text(max_size=12),
)
def test_any_token_response(status: int, content_type: str, body: bytes, retry_after: str | None) -> None:
    """R34: every answer is tokens, a refusal or no verdict; a success gives tokens, it or a 4xx refuses."""
    verdict = token.process_response(status, content_type, body, retry_after)
    assert isinstance(verdict, TokenSet | TokenRefusal | token.TokenUnavailable)
    if isinstance(verdict, TokenSet):
        assert status in {200, 201}
    if isinstance(verdict, TokenRefusal):
        assert status in {200, 201} or 400 <= status < 500
