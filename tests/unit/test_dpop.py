"""Proofs of possession in the pure core: what one must be of, and what is refused (RFC 9449 section 4.3)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks.every import check as check_settings
from gateway.core.identity import Binding
from gateway.core.reasons import Reason
from gateway.core.runtime import bridge, compile_settings
from gateway.core.tokens.binding import TokenRules, read_binding
from gateway.core.tokens.dpop import Expected, Nonces, Proof, ProofRules, check
from tests.support.dpop import proof, public, thumbprint
from tests.support.jose import NOW, b64
from tests.support.pure import settings

TOKEN = "the-access-token"
URL = "https://api.example.com/a/b"
EXPECTED = Expected("GET", "https://api.example.com", (b"/a/b",), TOKEN, thumbprint())
RULES = ProofRules(("ES256", "EdDSA", "PS256", "RS256"), 60.0)


def judge(text: str | bytes, rules: ProofRules = RULES, expected: Expected = EXPECTED, now: float = NOW):
    return check(text.encode() if isinstance(text, str) else text, expected, rules, now)


def made(**changes: Any) -> str:
    return proof(TOKEN, changes.pop("url", URL), changes.pop("now", NOW), **changes)


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256", "RS256"])
def test_a_good_proof(alg: str):
    """[11.7] Of each algorithm that is allowed, by the key that the token is bound to."""
    kind = {"PS256": "PS", "RS256": "RS"}.get(alg, alg)
    found = judge(made(alg=alg, jti="one"), expected=replace(EXPECTED, key=thumbprint(kind)))
    assert found == Proof(f"{thumbprint(kind)} one", NOW + 60)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": "POST"}, Reason.PROOF_INVALID),
        ({"method": "get"}, Reason.PROOF_INVALID),
        ({"htm": ...}, Reason.PROOF_INVALID),
        ({"htm": ["GET"]}, Reason.PROOF_INVALID),
        ({"url": "http://api.example.com/a/b"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com:8443/a/b"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com.evil/a/b"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com@evil.example/a/b"}, Reason.PROOF_INVALID),
        ({"url": "https://evil@api.example.com/a/b"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com/a"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com/a/b/"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com/A/b"}, Reason.PROOF_INVALID),
        ({"url": "https://api.example.com/x/../a/b"}, Reason.PROOF_INVALID),
        ({"url": "/a/b"}, Reason.PROOF_INVALID),
        ({"url": ""}, Reason.PROOF_INVALID),
        ({"htu": ...}, Reason.PROOF_INVALID),
        ({"htu": 7}, Reason.PROOF_INVALID),
        ({"ath": ...}, Reason.PROOF_INVALID),
        ({"ath": ""}, Reason.PROOF_INVALID),
        ({"ath": b64("another")}, Reason.PROOF_INVALID),
        ({"ath": "\ud800"}, Reason.PROOF_INVALID),
        ({"jti": ...}, Reason.PROOF_INVALID),
        ({"jti": ""}, Reason.PROOF_INVALID),
        ({"jti": 5}, Reason.PROOF_INVALID),
        ({"jti": "x" * 257}, Reason.PROOF_INVALID),
        ({"iat": ...}, Reason.PROOF_INVALID),
        ({"iat": "now"}, Reason.PROOF_INVALID),
        ({"iat": True}, Reason.PROOF_INVALID),
        ({"iat": NOW - 60}, Reason.PROOF_EXPIRED),
        ({"iat": NOW + 6}, Reason.PROOF_EXPIRED),
        ({"iat": 0}, Reason.PROOF_EXPIRED),
        ({"header": {"typ": "JWT"}}, Reason.PROOF_INVALID),
        ({"header": {"typ": ...}}, Reason.PROOF_INVALID),
        ({"header": {"typ": "at+jwt"}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": ...}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": "x"}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": {}}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": {"kty": "oct", "k": "AAAA"}}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": {**public(), "d": "AAAA"}}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": {**public(), "x": 5}}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": {**public(), "crv": "P-384"}}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": {**public(), "alg": "ES384"}}}, Reason.PROOF_INVALID),
        ({"header": {"jwk": public(name="thief")}}, Reason.PROOF_INVALID),
        ({"header": {"crit": ["x"]}}, Reason.PROOF_INVALID),
        ({"header": {"alg": "none"}}, Reason.PROOF_INVALID),
        ({"header": {"alg": "HS256"}}, Reason.PROOF_INVALID),
        ({"header": {"alg": "EdDSA"}}, Reason.PROOF_INVALID),
        ({"alg": "ES384"}, Reason.PROOF_INVALID),
        ({"name": "thief"}, Reason.PROOF_INVALID),
        ({"name": "thief", "header": {"jwk": public()}}, Reason.PROOF_INVALID),
    ],
)
def test_what_is_no_proof_for_this_request(changes: dict[str, Any], why: Reason):
    """R18, R19 [11.7]: another method, URL, token or key, an old one, one that says nothing, a forged one."""
    assert judge(made(**changes)) is why


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://API.example.com:443/a/b", b"/a/b"),
        ("https://api.example.com/a/b?c=d", b"/a/b"),
        ("https://api.example.com/a/b#e", b"/a/b"),
        ("https://api.example.com/%61/b", b"/a/b"),
        ("https://api.example.com", b"/"),
        ("https://api.example.com/%c3%a9", b"/%C3%A9"),
    ],
)
def test_urls_are_compared_normalised(url: str, path: bytes):
    """[11.7] RFC 9449 section 4.3: without query and fragment, by syntax and scheme."""
    assert isinstance(judge(made(url=url), expected=replace(EXPECTED, paths=(path,))), Proof)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "\xff", "x" * 9000, made() + ".", made() * 2])
def test_garbage_is_no_proof(text: str):
    """R29 [11.7]: a refusal, and no exception."""
    assert judge(text.encode("latin-1")) is Reason.PROOF_INVALID


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_no_changed_byte_is_let_through(piece: bytes, at: int):
    """R29 [11.7]: whatever is put into a proof, it is the very same one or none."""
    good = made(jti="fixed").encode()
    spoiled = good[: at % len(good)] + piece + good[at % len(good) + len(piece) :]
    if spoiled != good:
        assert isinstance(judge(spoiled), Reason)


def test_nonces():
    """[11.7] RFC 9449 section 8: this one and the one before, made of any key of the ring; of no other."""
    nonces = Nonces((b"a" * 32, b"b" * 32), 300.0)
    rules = replace(RULES, nonces=nonces)
    assert judge(made(), rules) is Reason.PROOF_NONCE
    assert judge(made(nonce=""), rules) is Reason.PROOF_NONCE
    assert judge(made(nonce=7), rules) is Reason.PROOF_NONCE
    assert judge(made(nonce=Nonces((b"c" * 32,), 300.0).current(NOW)), rules) is Reason.PROOF_NONCE
    assert isinstance(judge(made(nonce=nonces.current(NOW)), rules), Proof)
    assert isinstance(judge(made(nonce=nonces.current(NOW - 300)), rules), Proof)
    assert judge(made(nonce=nonces.current(NOW - 600)), rules) is Reason.PROOF_NONCE
    assert isinstance(judge(made(nonce=Nonces((b"b" * 32,), 300.0).current(NOW)), rules), Proof)
    assert nonces.current(NOW) != nonces.current(NOW + 300)


def test_nonces_while_keys_rotate():
    """[11.7] A worker that still runs the old configuration knows what one of the new one gives."""
    old = compile_settings(settings(dpop={"nonce": True}))
    new = compile_settings(settings(dpop={"nonce": True}, secret_keys=["B" * 42 + "A=", "A" * 43 + "="]))
    between = bridge(old, new)
    for one in (old, new, between):
        nonce = one.proofs.nonces.current(NOW)
        assert all(each.proofs.nonces.holds(nonce, NOW) for each in (new, between))
    assert between.proofs.nonces.current(NOW) == old.proofs.nonces.current(NOW)


KEY, CERTIFICATE = thumbprint(), thumbprint(name="other")


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({}, None),
        ({"cnf": None}, None),
        ({"cnf": {"jkt": KEY}}, Binding(KEY, None)),
        ({"cnf": {"x5t#S256": CERTIFICATE}}, Binding(None, CERTIFICATE)),
        ({"cnf": {"jkt": KEY, "x5t#S256": CERTIFICATE}}, Binding(KEY, CERTIFICATE)),
        ({"cnf": {}}, Reason.TOKEN_TYPE),
        ({"cnf": []}, Reason.TOKEN_TYPE),
        ({"cnf": ""}, Reason.TOKEN_TYPE),
        ({"cnf": False}, Reason.TOKEN_TYPE),
        ({"cnf": KEY}, Reason.TOKEN_TYPE),
        ({"cnf": {"jkt": None}}, Reason.TOKEN_TYPE),
        ({"cnf": {"jkt": ""}}, Reason.TOKEN_TYPE),
        ({"cnf": {"jkt": KEY[:-1]}}, Reason.TOKEN_TYPE),
        ({"cnf": {"jkt": KEY, "kid": "x"}}, Reason.TOKEN_TYPE),
        ({"cnf": {"jwk": {}}}, Reason.TOKEN_TYPE),
        ({"cnf": {"x5t#S256": 7}}, Reason.TOKEN_TYPE),
    ],
)
def test_what_binds_a_token(claims: dict[str, Any], found: object):
    """[11.7] RFC 7800: what nobody here can check is no token for us, and never a bearer token."""
    assert read_binding(claims) == found


@pytest.mark.parametrize(
    ("proof", "none", "key", "certificate", "both"),
    [
        ("optional", False, False, False, False),
        ("required", True, False, False, False),
        ("dpop", True, False, True, False),
        ("mtls", True, True, False, False),
    ],
)
def test_what_a_route_asks_of_tokens(proof: Any, none: bool, key: bool, certificate: bool, both: bool):
    """[11.7] Which tokens a route refuses by what they are bound to."""
    rules = TokenRules(None, proof)
    asked = [None, Binding(KEY, None), Binding(None, CERTIFICATE), Binding(KEY, CERTIFICATE)]
    assert [rules.refuses(each) for each in asked] == [none, key, certificate, both]


@pytest.mark.parametrize(
    ("changes", "route", "at"),
    [
        ({}, {"bound_tokens": "mtls"}, ("routes", 0, "bound_tokens")),
        ({}, {"bound_tokens": "required", "access": "public"}, ("routes", 0, "bound_tokens")),
        ({"dpop": {"algorithms": ["ES256", "ES256"]}}, {}, ("dpop", "algorithms")),
        ({"forwarding": {"client_certificate": "a b"}}, {}, ("forwarding", "client_certificate")),
        ({"forwarding": {"client_certificate": "Cookie"}}, {}, ("forwarding", "client_certificate")),
        ({"forwarding": {"client_certificate": "Authorization"}}, {}, ("forwarding", "client_certificate")),
        ({"forwarding": {"client_certificate": "X-Forwarded-For"}}, {}, ("forwarding", "client_certificate")),
        ({"forwarding": {"client_certificate": "DPoP"}}, {}, ("forwarding", "client_certificate")),
        (
            {"forwarding": {"client_certificate": "X-Forwarded-User"}},
            {},
            ("forwarding", "client_certificate"),
        ),
    ],
)
def test_what_cannot_be_configured(changes: dict[str, Any], route: dict[str, Any], at: tuple[Any, ...]):
    """[11.7] Each at the path of its setting."""
    found = check_settings(settings({"path": "/", **route}, **changes))
    assert at in [each.path for each in found]
