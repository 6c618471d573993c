"""What upstreams get by route: fields that tell who is calling, and fields that the route sets."""

import json

import pytest

from gateway.cli.explain import explain
from gateway.core.decide import decide
from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.headers.downstream import SetFields
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import compile_settings
from gateway.supervision.messages import decode_settings, encode_settings
from tests.support.pure import HOST, NOW, request, settings, values

ROUTES = (
    {"path": "/", "access": "optional"},
    {"path": "/own/", "access": "optional", "identity_headers": {"X-Who": "sub"}},
    {"path": "/fixed/", "access": "public", "request_headers": {"X-Gateway-Secret": "s3cret", "X-Api": "2"}},
)


def forwarded(target: bytes, *headers: tuple[bytes, bytes]) -> Forward:
    """Return how such a request goes on."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    runtime = compile_settings(settings(*ROUTES))
    knowledge = Knowledge(runtime, {}, denylist, Memory(), lambda _: None, lambda _: False)
    asked = request(*headers)
    asked.target = target
    answer = decide(asked, knowledge, NOW, "request-1")
    assert isinstance(answer, Forward)
    return answer


@pytest.mark.parametrize("target", [b"/x", b"/own/x", b"/fixed/x"])
@pytest.mark.parametrize(
    "name",
    [b"X-Who", b"x_who", b"X.WHO", b"X-Gateway-Secret", b"x_gateway_secret", b"X-API", b"X-Forwarded-User"],
)
def test_r53_what_any_route_writes_no_client_sends(target: bytes, name: bytes):
    """R53 [11.9], CVE-2025-64484: on every route, in every spelling, whoever asks."""
    sent = forwarded(target, (name, b"forged"), (b"Connection", b"X-Gateway-Secret, X-Api")).headers
    assert b"forged" not in [value for _, value in sent]


def test_fields_of_a_route():
    """[11.9]: an upstream can tell the gateway from anybody else, and other routes tell nothing of it."""
    sent = forwarded(b"/fixed/x").headers
    assert (values(sent, b"X-Gateway-Secret"), values(sent, b"X-Api")) == ([b"s3cret"], [b"2"])
    assert values(forwarded(b"/x").headers, b"X-Gateway-Secret") == []


def test_explain_shows_no_value_of_them():
    """[11.9]: any of them may be a secret."""
    told = "\n".join(explain(settings(*ROUTES), f"https://{HOST.decode()}/fixed/x", "GET", []))
    assert "X-Gateway-Secret: (hidden)" in told
    assert "s3cret" not in told


def test_they_reach_workers_and_no_representation():
    """[11.9]: settings travel whole, and show no secret."""
    made = settings(*ROUTES)
    assert decode_settings(json.loads(json.dumps(encode_settings(made)))) == made
    assert "s3cret" not in repr(made)


@pytest.mark.parametrize(
    ("fields", "is_private", "before", "after"),
    [
        ({"X-Frame-Options": "DENY"}, False, [b"A: 1"], [b"A: 1", b"X-Frame-Options: DENY"]),
        ({"server": "x"}, False, [b"Server: y", b"SERVER:z", b"A: 1"], [b"A: 1", b"server: x"]),
        ({"Server": None}, False, [b"Server: y", b"A: 1"], [b"A: 1"]),
        ({"Cache-Control": "public"}, False, [b"cache-control: no-store"], [b"Cache-Control: public"]),
        ({"Cache-Control": "public"}, True, [b"Cache-Control: private"], [b"Cache-Control: private"]),
        (
            {"Cache-Control": None, "A": "2"},
            True,
            [b"Cache-Control: private"],
            [b"Cache-Control: private", b"A: 2"],
        ),
        ({"Edge-CDN-Cache-Control": "public", "Expires": "0"}, True, [], []),
    ],
)
def test_r59_fields_of_responses(fields: dict, is_private: bool, before: list[bytes], after: list[bytes]):
    """R59 [11.9]: replaced, added, removed; none lets a shared cache keep our cookies."""
    assert SetFields(fields).set_in(before, is_private=is_private) == after
