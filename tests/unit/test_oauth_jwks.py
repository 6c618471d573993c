"""JWK Sets from the network."""

import json

import pytest

from gateway.oauth.errors import MessageError
from gateway.oauth.jwks import MOST_JWKS, process_response
from tests.support.jose import NOW, jwk


def test_good_set() -> None:
    """R31, R28: usable keys come out, with the time until which they may be used."""
    body = json.dumps({"keys": [jwk(), jwk("ES256", kid="second"), {"kty": "oct", "k": "AA"}]}).encode()
    keys = process_response(body, NOW, 60.0)
    assert keys.find("main", "RS256")
    assert keys.find("second", "ES256")
    assert (keys.fetched_at, keys.stale_after) == (NOW, NOW + 60.0)
    assert {kid for kid, _ in keys.keys} == {"main", "second"}


def test_withdrawn_keys() -> None:
    """A well-formed empty set is an answer: it has no key for anybody."""
    assert not process_response(b'{"keys":[]}', NOW, 60.0).keys


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":"x"}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":[{"kty":"RSA","kty":"EC"}]}',
        json.dumps({"keys": [jwk()]}).encode()[:-10],
        b'{"keys":[' + b"[" * 3000,
        b'{"keys":["' + b"x" * MOST_JWKS + b'"]}',
        json.dumps({"keys": [{"kty": "x"}] * 101}).encode(),
    ],
    ids=lambda body: repr(body[:30]),
)
def test_garbage(body: bytes) -> None:
    """R31: whatever is no key set of at most 100 keys has the one declared error."""
    with pytest.raises(MessageError):
        process_response(body, NOW, 60.0)


def test_hundred_keys_pass() -> None:
    """The bound on the number of keys is exact."""
    body = json.dumps({"keys": [{"kty": "x"}] * 99 + [jwk()]}).encode()
    assert process_response(body, NOW, 60.0).find("main", "RS256")
