"""Reading and verifying JWS in compact form."""

import json

import pytest

from gateway.config.settings.providers import ALGORITHMS
from gateway.core.reasons import Reason
from gateway.core.tokens.jws import MOST_TOKEN, Parsed, UnknownKey, Verified, read, verify
from gateway.core.tokens.keys import KeySet
from tests.support.jose import NOW, access_claims, b64, jwk, key_set, private_key, raw_sign, sign

ALL = tuple(sorted(ALGORITHMS))
HEADER = '{"alg":"RS256"}'


def parse(token: str) -> Parsed:
    parsed = read(token)
    assert isinstance(parsed, Parsed)
    return parsed


def unsigned(header: str = HEADER, claims: str = "{}", signature: str = "c2ln") -> str:
    return f"{b64(header)}.{b64(claims)}.{signature}"


def test_reads_a_good_token() -> None:
    """Header, claims, algorithm and key id come out as they went in, from str and from bytes."""
    token = sign(access_claims())
    parsed = parse(token)
    assert (parsed.alg, parsed.kid, parsed.claims["sub"]) == ("RS256", "main", "alice")
    assert read(token.encode()) == parsed
    assert parsed.signing_input == token.rpartition(".")[0].encode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        unsigned() + ".",
        unsigned() + ".c2ln",
        "c2ln." + unsigned(),
        unsigned() + "=",
        unsigned() + "\n",
        " " + unsigned(),
        unsigned().replace(".", "=.", 1),
        unsigned(signature="a+b/"),
        unsigned(signature="YQ=="),
        unsigned(signature="YR"),
        unsigned(signature="abcde"),
        unsigned(signature="é"),
        "\ud800.a.b",
        unsigned(claims="[]"),
        unsigned(claims='"text"'),
        unsigned(claims="null"),
        unsigned(claims=""),
        unsigned(claims="{"),
        unsigned(claims='{"a":NaN}'),
        unsigned(claims='{"a":-Infinity}'),
        unsigned(claims='{"a":1e999}'),
        unsigned(claims='{"a":' + "9" * 41 + "}"),
        unsigned(claims='{"a":' + "9" * 5000 + "}"),
        unsigned(claims='{"a":1,"a":2}'),
        unsigned(claims='{"a":[{"b":{"c":1,"c":1}}]}'),
        unsigned(claims='{"a":"\\ud800"}'),
        unsigned(claims='\ufeff{"a":1}'),
        unsigned(claims='{"a":' * 5000 + "1" + "}" * 5000),
        unsigned(claims='{"a":' + "[" * 33 + "]" * 33 + "}"),
        unsigned(claims='{"a":"\x00"}'),
        unsigned(header="[]"),
        unsigned(header="{}"),
        unsigned(header='{"alg":1}'),
        unsigned(header='{"alg":null}'),
        unsigned(header='{"alg":"RS256","alg":"none"}'),
        unsigned(header='{"alg":"RS256","kid":1}'),
        unsigned(header='{"alg":"RS256","kid":{"a":1}}'),
        unsigned(header=json.dumps({"alg": "RS256", "kid": "k" * 1025})),
        f"{b64(HEADER)}.{b64(b'{' + bytes([0xFF, 0xFE]) + b'}')}.c2ln",
        f"{b64(HEADER)}.{b64('{}'.encode('utf-16'))}.c2ln",
    ],
    ids=lambda token: ascii(token[:40]),
)
def test_malformed_tokens_have_one_answer(token: str) -> None:
    """R29: padding, foreign characters, duplicates, non-objects, depth and huge numbers never raise."""
    assert read(token) is Reason.TOKEN_MALFORMED


def test_size_is_bounded() -> None:
    """R29: one byte over 16 KiB is refused, and a token of the limit is read."""
    room = MOST_TOKEN - len(unsigned(claims="{}"))
    claims = '{"a":"' + "x" * (room * 3 // 4 - 12) + '"}'
    token = unsigned(claims=claims)
    assert len(token) <= MOST_TOKEN
    assert isinstance(read(token), Parsed)
    assert read(token + "A" * (MOST_TOKEN - len(token) + 1)) is Reason.TOKEN_MALFORMED


def test_depth_of_32_levels_is_read() -> None:
    """The bound on nesting is exact: 32 levels pass (31 lists within the object)."""
    assert isinstance(read(unsigned(claims='{"a":' + "[" * 31 + "]" * 31 + "}")), Parsed)
    wide = json.dumps({str(number): [number] for number in range(50)})
    assert isinstance(read(unsigned(claims=wide)), Parsed)


@pytest.mark.parametrize("crit", ['["exp"]', '["b64"]', "[]", "null", '"x"'])
def test_any_crit_is_refused(crit: str) -> None:
    """R20: no extension is understood, so a header with ``crit`` is refused, whatever it lists."""
    assert read(unsigned(header=f'{{"alg":"RS256","exp":1,"crit":{crit}}}')) is Reason.TOKEN_MALFORMED


def test_unencoded_payload_is_refused() -> None:
    """R20: ``b64`` has no place in a JWT (RFC 7797 section 7), critical or not."""
    assert read(unsigned(header='{"alg":"RS256","b64":false}')) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "header",
    ['{"alg":1}', '{"alg":"RS256","crit":["exp"]}', '{"alg":"RS256","b64":false}', '{"alg":"RS256","kid":1}'],
)
def test_a_refused_header_stays_refused(header: str) -> None:
    """R20: headers that have passed are remembered, those that were refused never pass later."""
    good = '{"alg":"RS256","kid":"again"}'
    for _ in range(2):
        assert read(unsigned(header=header)) is Reason.TOKEN_MALFORMED
        parsed = parse(unsigned(header=good))
        assert (parsed.header, parsed.alg, parsed.kid) == (json.loads(good), "RS256", "again")


def test_nothing_secret_in_representations() -> None:
    """R16: neither signature nor claims show in the representation of a parsed token."""
    token = sign(access_claims())
    parsed = parse(token)
    for shown in (repr(parsed), str(verify(parsed, key_set(), ALL))):
        assert token.rpartition(".")[2] not in shown
        assert "alice" not in shown


@pytest.mark.parametrize("alg", ALL)
def test_every_algorithm_verifies_and_notices_change(alg: str) -> None:
    """Each supported algorithm accepts its signature and refuses any other bytes."""
    kind = {"R": "RS", "P": "PS"}.get(alg[0], alg.replace("Ed25519", "EdDSA"))
    parsed = parse(sign(access_claims(), alg=alg))
    keys = key_set(jwk(kind))
    assert isinstance(verify(parsed, keys, ALL), Verified)
    flipped = bytes([parsed.signature[0] ^ 1]) + parsed.signature[1:]
    for signature in (flipped, b"", parsed.signature[:-1], parsed.signature + b"\0", bytes(64), bytes(256)):
        forged = Parsed(parsed.header, parsed.claims, parsed.alg, parsed.kid, parsed.signing_input, signature)
        assert verify(forged, keys, ALL) is Reason.TOKEN_SIGNATURE
    other = Parsed(
        parsed.header, parsed.claims, parsed.alg, parsed.kid, parsed.signing_input + b"x", parsed.signature
    )
    assert verify(other, keys, ALL) is Reason.TOKEN_SIGNATURE


def test_ed448_verifies() -> None:
    """EdDSA covers both of its curves (RFC 8037)."""
    parsed = parse(sign(access_claims(), alg="EdDSA", kind="Ed448"))
    assert isinstance(verify(parsed, key_set(jwk("Ed448")), ALL), Verified)


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "ES256K", "dir"]
)
def test_algorithms_beyond_the_table_never_count(alg: str) -> None:
    """R18: ``none``, HMAC and strangers are refused even when the configuration lists them."""
    parsed = parse(unsigned(header=json.dumps({"alg": alg, "kid": "main"}), signature=""))
    assert verify(parsed, key_set(), (*ALL, alg)) is Reason.TOKEN_ALGORITHM


def test_algorithm_outside_the_list_is_refused() -> None:
    """R18: a good RS256 signature does not count where only ES256 is allowed."""
    assert verify(parse(sign(access_claims())), key_set(), ("ES256",)) is Reason.TOKEN_ALGORITHM
    assert verify(parse(sign(access_claims())), key_set(), ()) is Reason.TOKEN_ALGORITHM


def test_algorithm_and_key_type_never_mix() -> None:
    """R18: an RSA key is no candidate for ES256, nor a P-256 key for ES384 or RS256."""
    for alg, kind in (("ES256", "RS"), ("RS256", "ES256"), ("ES384", "ES256"), ("EdDSA", "ES256")):
        parsed = parse(unsigned(header=json.dumps({"alg": alg, "kid": "main"})))
        assert verify(parsed, key_set(jwk(kind)), ALL) == UnknownKey("main")


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
@pytest.mark.parametrize("kind", ["ES256", "EdDSA", "Ed448"])
def test_a_key_of_another_kind_verifies_nothing(alg: str, kind: str) -> None:
    """R18, R29: even if a set held such a key for an RSA algorithm, that would be a refusal and no error."""
    keys = KeySet({("main", alg): (private_key(kind, "foreign").public_key(),)}, NOW, NOW + 1)
    assert verify(parse(sign(access_claims(), alg=alg)), keys, ALL) is Reason.TOKEN_SIGNATURE


def test_keys_that_the_token_brings_are_ignored() -> None:
    """R19: a token signed by the key in its own header is judged by the provider's key all the same."""
    attacker = jwk(name="attacker")
    brought = {
        "jwk": attacker,
        "jku": "https://attacker.example/jwks",
        "x5u": "https://attacker.example/cert",
        "x5c": ["MIIB"],
    }
    token = raw_sign(
        {"alg": "RS256", "kid": "main", **brought}, access_claims(), "RS256", private_key(name="attacker")
    )
    assert verify(parse(token), key_set(), ALL) is Reason.TOKEN_SIGNATURE
    stranger = raw_sign(
        {"alg": "RS256", "kid": "attacker", **brought},
        access_claims(),
        "RS256",
        private_key(name="attacker"),
    )
    assert verify(parse(stranger), key_set(), ALL) == UnknownKey("attacker")
    honest = sign(access_claims(), **brought)
    assert isinstance(verify(parse(honest), key_set(), ALL), Verified)


def test_unknown_key_is_named() -> None:
    """R27: the key id that is lacking is told, so that the edge can look for it once."""
    parsed = parse(sign(access_claims(), name="next"))
    assert verify(parsed, key_set(), ALL) == UnknownKey("next")


def test_token_without_key_id() -> None:
    """R27: without ``kid`` the only fitting key counts; two that fit, and none does."""
    parsed = parse(sign(access_claims(), kid=None))
    assert isinstance(verify(parsed, key_set(), ALL), Verified)
    assert isinstance(verify(parsed, key_set(jwk(kid=None)), ALL), Verified)
    assert isinstance(verify(parsed, key_set(jwk(), jwk("ES256", kid="other")), ALL), Verified)
    assert verify(parsed, key_set(jwk(), jwk(name="second")), ALL) == UnknownKey(None)
    assert verify(parsed, key_set(jwk("ES256")), ALL) == UnknownKey(None)


def test_a_keyless_set_never_verifies() -> None:
    """An empty key set means that no key fits, not that any does."""
    assert verify(parse(sign(access_claims())), key_set({}, now=NOW), ALL) == UnknownKey("main")
