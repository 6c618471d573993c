"""Pushed authorization requests: when, what is sent, and what an answer means."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from gateway.core.provider import ProviderMetadata
from gateway.oauth import pushed
from gateway.oauth.errors import MessageError
from tests.support.jose import CLIENT, ISSUER, provider

PAR = f"{ISSUER}/par"


def metadata(**more: Any) -> ProviderMetadata:
    return ProviderMetadata(ISSUER, f"{ISSUER}/authorize?p=1", f"{ISSUER}/token", f"{ISSUER}/jwks", **more)


OFFERS = metadata(pushed_authorization_request_endpoint=PAR)
INSECURE = metadata(unusable=((pushed.ENDPOINT, "endpoint_insecure", "plain http"),))


def wanted(found: ProviderMetadata, setting: str) -> bool | str:
    try:
        return pushed.is_wanted(found, provider(pushed_requests=setting).settings)
    except MessageError as error:
        return error.code if error.is_misconfiguration else "not the operator's"


@pytest.mark.parametrize(
    ("found", "setting", "expected"),
    [
        (OFFERS, "offered", True),
        (OFFERS, "always", True),
        (OFFERS, "never", False),
        (metadata(), "offered", False),
        (metadata(), "never", False),
        (metadata(), "always", "pushed_unsupported"),
        # an endpoint to which nothing may be sent is not offered
        (INSECURE, "offered", False),
        (INSECURE, "always", "endpoint_insecure"),
    ],
)
def test_when_a_login_is_pushed(found: ProviderMetadata, setting: str, expected: bool | str) -> None:
    """RFC 9126 section 5 [11.5]: by the metadata and the setting."""
    assert wanted(found, setting) == expected


def test_what_is_sent_and_what_the_browser_carries() -> None:
    """R15 [11.5]: the client authenticates; the browser has client_id and request_uri, and no more."""
    settings = provider(client_auth="client_secret_post").settings
    form = pushed.build_request(OFFERS, settings, {"client_id": CLIENT, "resource": ("urn:a", "urn:b")})
    fields = parse_qs(form.body.decode())
    assert form.url == PAR
    assert (fields["client_id"], fields["resource"]) == ([CLIENT], ["urn:a", "urn:b"])
    assert "client_secret" in fields
    url = pushed.build_reference(OFFERS, settings, "urn:x:a&state=evil#f")
    assert url == f"{ISSUER}/authorize?p=1&client_id={CLIENT}&request_uri=urn%3Ax%3Aa%26state%3Devil%23f"


def outcome(status: int, body: object) -> str:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return pushed.process_response(status, octets)
    except MessageError as error:
        return error.code if len(error.detail) < 400 else error.detail


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, {"request_uri": "urn:x", "expires_in": 60}, "urn:x"),
        (200, {"request_uri": "https://i.example/r/1?a=b#c"}, "https://i.example/r/1?a=b#c"),
        (201, {"request_uri": "urn:x", "error": "ignored", "expires_in": "soon"}, "urn:x"),
        (201, {"request_uri": ""}, "pushed_failed"),
        (201, {"request_uri": "urn:x y"}, "pushed_failed"),
        (201, {"request_uri": "urn:x\r\nA: b"}, "pushed_failed"),
        (201, {"request_uri": "x" * 1025}, "pushed_failed"),
        (201, {"request_uri": ["urn:x"]}, "pushed_failed"),
        (201, {"error": "invalid_request"}, "pushed_failed"),
        (201, b"", "pushed_failed"),
        (204, {"request_uri": "urn:x"}, "pushed_failed"),
        (302, {"request_uri": "urn:x"}, "pushed_failed"),
        (400, {"request_uri": "urn:x"}, "pushed_failed"),
        (400, {"error": "invalid_request"}, "pushed_refused"),
        (400, {"error": "invalid_target"}, "pushed_refused"),
        (401, {"error": "invalid_client"}, "pushed_refused"),
        (400, {"error": "temporarily_unavailable"}, "pushed_failed"),
        (429, {"error": "invalid_request"}, "pushed_failed"),
        (503, {"error": "server_error"}, "pushed_failed"),
        (500, b"<!doctype html>", "pushed_failed"),
        (400, {"error": "<script>alert(1)</script> prose"}, "pushed_failed"),
        (400, {"error": 7}, "pushed_failed"),
        (400, b"[" * 5000, "pushed_failed"),
        (201, b'{"request_uri": "urn:x", "request_uri": "urn:y"}', "pushed_failed"),
    ],
)
def test_what_an_answer_means(status: int, body: object, expected: str) -> None:
    """R29 R85 [11.5]: a reference, the operator's fault, or the moment's; never a login in another way."""
    assert outcome(status, body) == expected
