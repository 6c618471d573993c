"""The UserInfo endpoint."""

import pytest

from gateway.core.provider import ProviderMetadata
from gateway.oauth.errors import MessageError
from gateway.oauth.userinfo import MOST_USERINFO, build_request, process_response
from tests.support.jose import ISSUER


def test_request() -> None:
    """The access token goes into the Authorization header, nowhere else."""
    metadata = ProviderMetadata(ISSUER, "a", "t", "j", userinfo_endpoint=f"{ISSUER}/userinfo")
    url, headers = build_request(metadata, "at")
    assert url == f"{ISSUER}/userinfo"
    assert headers["Authorization"] == "Bearer at"
    with pytest.raises(MessageError):
        build_request(ProviderMetadata(ISSUER, "a", "t", "j"), "at")


def test_claims() -> None:
    """R30: the claims come with their ``sub``, for the caller to compare."""
    assert process_response(200, "application/json", b'{"sub":"alice","email":"a@b"}') == {
        "sub": "alice",
        "email": "a@b",
    }


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused(status: int) -> None:
    """A refused access token is an answer."""
    assert process_response(status, "", b"") is None


@pytest.mark.parametrize("status", [204, 302, 404, 429, 500, 503])
def test_unavailable(status: int) -> None:
    """Any other status is a fault of the provider."""
    with pytest.raises(MessageError):
        process_response(status, "application/json", b'{"sub":"alice"}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"sub":""}',
        b'{"sub":1}',
        b'{"sub":null}',
        b'{"sub":"a","sub":"b"}',
        b'{"sub":"a"',
        b'{"sub":"a","x":"' + b"x" * MOST_USERINFO + b'"}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_garbage(body: bytes) -> None:
    """R30: claims without a subject, or no claims at all, have the one declared error."""
    with pytest.raises(MessageError):
        process_response(200, "application/json", body)


def test_signed_claims_are_named() -> None:
    """A JWT answer is a setting at the provider; the error says so."""
    with pytest.raises(MessageError) as caught:
        process_response(200, "application/jwt; charset=utf-8", b"a.b.c")
    assert caught.value.code == "userinfo_signed"
