"""The gateway's own keys: which can be used, what is published of them, and what is signed with them."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings.providers import ProviderSettings
from gateway.core.tokens.client_keys import compile_client_keys, jwk_set, thumbprint
from gateway.core.tokens.keys import build_key_set
from gateway.edge.providers.assertions import Assertions
from gateway.oauth.assertion import ASSERTION_TYPE
from gateway.oauth.form import build_form
from gateway.syntax.private_keys import SigningKey, algorithms_of, read_signing_key
from tests.support.client_keys import certified, pem
from tests.support.jose import ISSUER, NOW, private_key


def settings(*keys: str, **more: Any) -> ProviderSettings:
    return ProviderSettings(
        issuer=ISSUER,
        client_id="the client+",
        client_auth="private_key_jwt",
        signing_keys=keys,
        audiences=("a",),
        **more,
    )


def written(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, secret: bytes = b"") -> str:
    encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption).decode()


@pytest.mark.parametrize("kind", ["RS", "ES256", "ES384", "ES512", "EdDSA"])
def test_what_is_published_verifies_what_is_signed(kind: str):
    """R15 R31 [11.5]: the gateway's own filter takes each key, and an assertion verifies with it."""
    given_ = settings(pem(kind), pem("ES256", "second"))
    document = jwk_set(given_)
    keys = document["keys"]
    assert isinstance(keys, list)
    assert not build_key_set(keys, NOW, NOW + 1).left_out
    assert len(keys) == 2
    for key in keys:
        assert isinstance(key, dict)
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
    token = Assertions(given_, lambda: NOW).sign(ISSUER)
    header = jwt.get_unverified_header(token)
    assert header["kid"] == keys[0]["kid"] != keys[1]["kid"]
    unjudged = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, jwt.PyJWK(keys[0]), audience=ISSUER, options=unjudged)
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("the client+", "the client+", ISSUER)
    assert claims["exp"] - claims["iat"] == 90
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token, private_key(kind, "other").public_key(), [header["alg"]], options=unjudged)


def test_each_assertion_is_new():
    """R15 [11.5]: RFC 7523 section 3: no jti comes twice, at one time and for one audience too."""
    assertions = Assertions(settings(pem()), lambda: NOW)
    told = {
        jwt.decode(assertions.sign(ISSUER), options={"verify_signature": False})["jti"] for _ in range(50)
    }
    assert len(told) == 50
    assert min(map(len, told)) >= 22


def test_thumbprint_of_rfc_7638():
    """[11.5]: the example of RFC 7638 section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF"
        "V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c"
        "7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF"
        "44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": n, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_certificate_names_its_key():
    """R15 [11.5]: x5t#S256 in header and JWK; another key's certificate is refused."""
    (key,) = compile_client_keys(settings(certified()))
    assert key.header.keys() == {"kid", "x5t#S256"}
    assert key.jwk["x5t#S256"] == key.header["x5t#S256"]
    other = certified(name="other")
    foreign = pem() + other[other.index("-----BEGIN CERT") :]
    assert "not this key's" in str(read_signing_key(foreign))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one private key"),
        ("secret", "one private key"),
        (pem() + pem(name="two"), "one private key"),
        ("-----BEGIN PRIVATE KEY-----\n" + "A" * 40 + "\n-----END PRIVATE KEY-----", "can be read"),
        (written(private_key("ES256"), secret=b"passphrase"), "encrypted"),
        (
            written(private_key("ES256"), PrivateFormat.TraditionalOpenSSL, b"passphrase"),
            "encrypted|can be read",
        ),
        (written(rsa.generate_private_key(65537, 1024)), "2048"),  # noqa: S505 - what is refused
        (written(ec.generate_private_key(ec.SECP256K1())), "P-256"),
        (written(x25519.X25519PrivateKey.generate()), "RSA, P-256"),
        (written(dsa.generate_private_key(2048)), "RSA, P-256"),
    ],
    ids=["empty", "words", "two", "garbage", "encrypted", "old-encrypted", "short", "k1", "x25519", "dsa"],
)
def test_keys_that_cannot_be_used(text: str, why: str):
    """R18 [11.5]: each is told why, without a letter of it; whoever compiles it is told as well."""
    told = read_signing_key(text)
    assert isinstance(told, str)
    assert any(each in told for each in why.split("|"))
    with pytest.raises(ValueError, match="signing_keys"):
        compile_client_keys(settings(text or "x"))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_the_usual_forms_of_a_key(form: PrivateFormat):
    """[11.5]: as openssl writes them, with text around them, and with other line ends."""
    for kind in ("RS", "ES256"):
        text = written(private_key(kind), form)
        for shape in (text, f"Bag Attributes\n{text}\nmore", text.replace("\n", "\r\n")):
            assert isinstance(read_signing_key(shape), SigningKey)


@given(st.text(max_size=2000))
def test_garbage_is_no_key(text: str):
    """R29 [11.5]: whatever the text, no exception."""
    assert isinstance(read_signing_key(text), str)
    inside = f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----"
    assert isinstance(read_signing_key(inside), str)


def test_the_usual_algorithm_of_each_kind():
    """R18 [11.5]: RFC 7518 section 3.1, RFC 8037: never HMAC, never none."""
    for kind, name in {
        "RS": "RS256",
        "ES256": "ES256",
        "ES384": "ES384",
        "ES512": "ES512",
        "EdDSA": "EdDSA",
    }.items():
        assert algorithms_of(private_key(kind))[0] == name


def test_a_form_lacks_its_assertion_until_it_is_sent():
    """R16 [11.5]: what is built names for whom it is; the signature is made with each call."""
    form = build_form(
        "https://i.example/token", {"grant_type": "x", "resource": ("urn:a", "urn:b")}, settings(pem())
    )
    assert form.assertion_for == ISSUER
    assert form.body.count(b"resource=") == 2
    assert b"client_id=the+client%2B" in form.body
    assert ASSERTION_TYPE.replace(":", "%3A").encode() in form.body
    assert b"client_assertion=" not in form.body
    assert "Authorization" not in form.headers
    endpoint = settings(pem(), assertion_audience="endpoint")
    assert build_form("https://i.example/par", {}, endpoint).assertion_for == "https://i.example/par"


def test_no_secret_is_shown():
    """R16 [11.5]: neither settings nor compiled keys show one."""
    given_ = settings(pem())
    shown = repr(given_) + str(given_) + repr(compile_client_keys(given_)) + given_.model_dump_json()
    assert "PRIVATE" not in shown
    assert json.dumps(pem())[30:60] not in shown
