"""What upstreams get by route: fields that tell who is calling, and fields that the route sets."""

import base64
import json
from dataclasses import replace

import jwt
import pytest

from gateway.cli.explain import explain
from gateway.core.access import sending
from gateway.core.access.session import whose
from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Refuse, Respond
from gateway.core.decision.context import Context, Knowledge, Memory
from gateway.core.decision.needs import ExchangeToken
from gateway.core.headers.downstream import SetFields
from gateway.core.identity import Identity
from gateway.core.provider import Exchanged, TokenRefusal
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.authorization import Target
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.sends import Sends
from gateway.core.runtime import compile_settings
from gateway.edge.rendering.render import render_respond
from gateway.supervision.messages import decode_settings, encode_settings
from tests.support.pure import HOST, ISSUER, NOW, identity, request, settings, values

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


UPSTREAMS = {
    "app": {"servers": ["http://127.0.0.1:3000"], "assertion": {}},
    "other": {
        "servers": ["http://127.0.0.1:3001"],
        "assertion": {"audience": "urn:other", "lifetime": "1m", "claims": ["email", "org.unit", "scope"]},
    },
    "plain": {"servers": ["http://127.0.0.1:3002"]},
}
ASSERTION = b"X-Gateway-Assertion"


def knowing(**changes: object) -> Knowledge:
    """Return what a gateway knows whose upstreams get assertions."""
    routes = (
        {"path": "/", "access": "optional"},
        {"path": "/too/"},
        {"path": "/public/", "access": "public"},
        {"path": "/other/", "upstream": "other", "identity_headers": {}},
        {"path": "/plain/", "upstream": "plain"},
    )
    denylist = Denylist()
    denylist.synchronised_at = NOW
    runtime = compile_settings(settings(*routes, **{"upstreams": UPSTREAMS} | changes))
    return Knowledge(runtime, {}, denylist, Memory(), lambda _: None, lambda _: False)


def told_of(context: Context, sends: Sends, who: Identity) -> sending.Found:
    """Return what is told of an identity: as remembered, or worked out."""
    return sending.known(who, sends, context.now) or sending.work_out(context, sends, who)


def told(knowledge: Knowledge, target: bytes, who: Identity, now: float = NOW) -> list[bytes]:
    """Return the assertions that an upstream gets of an identity."""
    context = Context(request(), knowledge, now, "request-1")
    (route,) = [each for each in knowledge.runtime.routes.routes if each.path == target]
    found = sending.Told(()) if route.sends is None else told_of(context, route.sends, who)
    assert isinstance(found, sending.Told)
    return [line.partition(b": ")[2] for line in found.lines if line.startswith(ASSERTION)]


def read(assertion: bytes) -> dict:
    """Return what an assertion says, unchecked."""
    return jwt.decode(assertion, options={"verify_signature": False})


def test_what_an_assertion_says():
    """[11.9]: audience the upstream; claims as configured; an absent or unverified one is left out."""
    knowledge = knowing()
    claims = {
        "email": "alice@example.com",
        "email_verified": False,
        "groups": ["a"],
        "sub": "mallory",
        "iss": "https://evil.example",
        "aud": "evil",
        "org": {"unit": "x"},
    }
    who = identity(claims=claims, scopes=frozenset({"b", "a"}), expires_at=NOW + 1000)
    base = {"iss": "https://app.example.com", "sub": "alice", "idp": ISSUER}
    (found,) = told(knowledge, b"", who)
    said = read(found)
    issued_at = said.pop("iat")
    assert NOW - 180 < issued_at <= NOW - 30
    assert said == {**base, "aud": "app", "exp": issued_at + 300, "groups": ["a"]}
    (found,) = told(knowledge, b"/other", who)
    said = read(found)
    issued_at = said.pop("iat")
    assert NOW - 36 < issued_at <= NOW - 6
    assert said == {**base, "aud": "urn:other", "exp": issued_at + 60, "org.unit": "x", "scope": "a b"}
    assert told(knowledge, b"/plain", who) == []
    assert told(knowledge, b"/public", who) == []


def test_an_assertion_ends_with_what_it_rests_on():
    """[11.9]: it holds no longer than the session or token."""
    (found,) = told(knowing(), b"", identity(expires_at=NOW + 20.9))
    assert read(found)["exp"] == int(NOW + 20)


def test_signing_is_off_the_hot_path():
    """[11.9]: signed once for each identity and upstream, whatever route, and anew after half of its life."""
    knowledge, who = knowing(), identity(expires_at=NOW + 10_000)
    signing = knowledge.runtime.signing
    assert signing is not None
    (first,) = told(knowledge, b"", who)
    since = read(first)["iat"] + 30
    for now in (NOW, since, since + 149.9):
        assert told(knowledge, b"", who, now) == told(knowledge, b"/too", who, now) == [first]
    assert signing.signed == 1
    (second,) = told(knowledge, b"", who, since + 150)
    assert read(second)["iat"] == since + 120
    # a clock that is set back finds nothing that begins in its future
    assert told(knowledge, b"", who, NOW) == [first]
    assert signing.signed == 3


def test_whoever_forgets_an_assertion_makes_the_same():
    """[11.9]: at every worker, for any time; not everybody's is made at one moment."""
    one, other = knowing(), knowing()
    moments = set()
    for subject in ("alice", "bob", "carol", "\ud800"):
        for now in range(int(NOW), int(NOW) + 400, 37):
            who = identity(subject=subject, expires_at=NOW + 10_000)
            (found,) = told(one, b"", who, now)
            assert told(other, b"", identity(subject=subject, expires_at=NOW + 10_000), now) == [found]
            assert now - 180 < read(found)["iat"] <= now - 30
            moments.add(read(found)["iat"] % 150)
    assert len(moments) == 4


@pytest.mark.parametrize("name", [b"X-Gateway-Assertion", b"x_gateway_assertion", b"X.Gateway-ASSERTION"])
@pytest.mark.parametrize("target", [b"/x", b"/public/x"])
def test_r53_no_client_sends_an_assertion(target: bytes, name: bytes):
    """R53 [11.9], GHSA-7r4p-vjf4-gxv4: nobody is told of where nobody is, though a client says so."""
    asked = request((name, b"forged"), (b"Connection", name))
    asked.target = target
    answer = decide(asked, knowing(), NOW, "request-1")
    assert isinstance(answer, Forward)
    assert b"forged" not in [value for _, value in answer.headers]


def test_keys_are_published_to_anybody():
    """[11.9]: under any host, without credentials; GET and HEAD alone; nowhere where nothing is signed."""
    knowledge = knowing()
    assert knowledge.runtime.signing is not None
    for host in (HOST, b"10.0.0.1:8080"):
        asked = request(host=host)
        asked.target = b"/.gateway/jwks.json"
        answer = decide(asked, knowledge, NOW, "request-1")
        assert isinstance(answer, Respond)
        assert answer.json == {"keys": knowledge.runtime.signing.published(NOW)}
        status, headers, _ = render_respond(answer, "request-1")
        assert (status, answer.reason) == (200, Reason.KEYS_PUBLISHED)
        assert values(headers, b"Cache-Control") == [b"public, max-age=600"]
        assert values(headers, b"Content-Type") == [b"application/jwk-set+json"]
    asked = request(method=b"POST")
    asked.target = b"/.gateway/jwks.json"
    refused = decide(asked, knowledge, NOW, "request-1")
    assert isinstance(refused, Refuse)
    assert refused.reason is Reason.METHOD_UNSUPPORTED
    asked = request()
    asked.target = b"/.gateway/jwks.json"
    plain = knowing(upstreams={name: {"servers": ["http://u:1"]} for name in UPSTREAMS})
    nowhere = decide(asked, plain, NOW, "request-1")
    assert isinstance(nowhere, Refuse)
    assert nowhere.reason is Reason.ROUTE_UNKNOWN


def context_of(route: dict, *headers: tuple[bytes, bytes], **facts: object) -> tuple[Context, Sends]:
    """Return a request under decision on a route, and what that sends."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    runtime = compile_settings(settings({"path": "/", **route}))
    knowledge = Knowledge(runtime, {}, denylist, Memory(), lambda _: None, lambda _: False, **facts)
    sends = runtime.routes.routes[0].sends
    assert sends is not None
    return Context(request(*headers), knowledge, NOW, "request-1"), sends


def authorization(found: sending.Found) -> bytes | sending.Found:
    """Return the Authorization field of what is told."""
    if not isinstance(found, sending.Told):
        return found
    fields = [line.partition(b": ") for line in b"\r\n".join(found.lines).split(b"\r\n")]
    (value,) = [value for name, _, value in fields if name == b"Authorization"]
    return value


@pytest.mark.parametrize(
    ("basic", "claims", "credentials"),
    [
        ({"username": "sub", "password": "p:w"}, {"sub": "mallory"}, b"alice:p:w"),
        ({"username": "email", "password": "x"}, {"email": "a@example.com"}, b"a@example.com:x"),
        ({"username": "uid", "password_claim": "org.pin"}, {"uid": 7, "org": {"pin": "é"}}, "7:é".encode()),
        ({"username": "email", "password": "x"}, {"email": "a@b.c", "email_verified": False}, None),
        ({"username": "uid", "password": "x"}, {}, None),
        ({"username": "uid", "password": "x"}, {"uid": ""}, None),
        ({"username": "uid", "password": "x"}, {"uid": "a:b"}, None),
        ({"username": "uid", "password": "x"}, {"uid": "a\r\nX: y"}, None),
        ({"username": "uid", "password": "x"}, {"uid": "\ud800"}, None),
        ({"username": "uid", "password": "x"}, {"uid": ["a"]}, None),
        ({"username": "uid", "password": "x"}, {"uid": True}, None),
        ({"username": "sub", "password_claim": "pin"}, {}, None),
        ({"username": "sub", "password_claim": "pin"}, {"pin": None}, None),
    ],
)
def test_basic_credentials(basic: dict, claims: dict, credentials: bytes | None):
    """[11.9]: RFC 7617; whoever lacks a claim is refused, and is nobody else."""
    context, sends = context_of({"authorization": {"basic": basic}})
    found = authorization(told_of(context, sends, identity(claims=claims)))
    expected = None if credentials is None else b"Basic " + base64.b64encode(credentials)
    assert found == (Reason.CLAIM_MISMATCH if expected is None else expected)


def test_the_access_token_of_a_session():
    """[11.9]: only while it holds; what is remembered ends with it."""
    context, sends = context_of({"authorization": "access_token"})
    who = identity(kind="session", access_token=("own", NOW + 10))
    assert authorization(told_of(context, sends, who)) == b"Bearer own"
    context.now = NOW + 10
    assert told_of(context, sends, who) is Reason.ACCESS_TOKEN_MISSING
    context.now = NOW
    for other in (
        identity(kind="session", access_token=("own", NOW)),
        identity(kind="session", access_token=None),
        identity(kind="key"),
    ):
        assert told_of(context, sends, other) is Reason.ACCESS_TOKEN_MISSING
    assert "own" not in repr(who)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([(b"Authorization", b"Bearer t.o.k")], b"Bearer t.o.k"),
        ([(b"authorization", b"bEARER  t.o.k")], b"Bearer t.o.k"),
        ([(b"Authorization", b"DPoP t.o.k")], Reason.ACCESS_TOKEN_MISSING),
        ([(b"Authorization", b"Basic eDp5")], Reason.ACCESS_TOKEN_MISSING),
        ([(b"Authorization", b"Bearer a"), (b"Authorization", b"Bearer b")], Reason.ACCESS_TOKEN_MISSING),
        ([], Reason.ACCESS_TOKEN_MISSING),
    ],
)
def test_the_access_token_of_a_bearer(headers: list[tuple[bytes, bytes]], found: bytes | Reason):
    """[11.9]: the one that was presented, and none where it needs a proof that the upstream will not get."""
    context, sends = context_of({"authorization": "access_token"}, *headers)
    assert authorization(told_of(context, sends, identity())) == found


EXCHANGE = {"authorization": {"exchange": {"audience": "orders-api"}}}


def test_an_exchange_is_a_need():
    """[11.9]: named with its target and token, which nothing shows; then remembered until it is due."""
    context, sends = context_of(EXCHANGE)
    who = identity(kind="session", session_id="s", access_token=("own", NOW + 100))
    need = told_of(context, sends, who)
    assert need == ExchangeToken("corporate", Target("orders-api", "", ()), "own", who)
    assert isinstance(need, ExchangeToken)
    assert whose(need) is who
    assert "own" not in repr(need)
    token = Exchanged("theirs", NOW + 30, NOW + 40)
    context.knowledge = replace(context.knowledge, facts={need: token})
    assert authorization(told_of(context, sends, who)) == b"Bearer theirs"
    # from here on no fact is looked at
    context.knowledge = replace(context.knowledge, facts={}, exchanged=lambda _: None)
    for now in (NOW, NOW + 29.9):
        context.now = now
        assert authorization(told_of(context, sends, who)) == b"Bearer theirs"
    context.now = NOW + 30
    assert told_of(context, sends, who) == need
    context.knowledge = replace(context.knowledge, exchanged={need: token}.get)
    found = told_of(context, sends, who)
    assert isinstance(found, sending.Told)
    assert (authorization(found), found.behind) == (b"Bearer theirs", need)
    context.now = NOW + 40
    assert told_of(context, sends, who) == need
    # another token of the same person has another exchange
    assert told_of(context, sends, identity(kind="session", access_token=("newer", NOW + 100))) != need


def test_an_exchange_that_is_refused():
    """[11.9]: 403; and nobody without a token of one's own gets a token of somebody."""
    context, sends = context_of(EXCHANGE, exchanged=lambda _: TokenRefusal("invalid_request"))
    who = identity(kind="session", access_token=("own", NOW + 100))
    assert told_of(context, sends, who) is Reason.EXCHANGE_REFUSED
    assert status_of(Reason.EXCHANGE_REFUSED) == 403
    assert told_of(context, sends, identity(kind="session")) is Reason.ACCESS_TOKEN_MISSING
    assert status_of(Reason.ACCESS_TOKEN_MISSING) == 401


@pytest.mark.parametrize("target", [b"/public/x", b"/optional/x"])
def test_a_fixed_authorization(target: bytes):
    """[11.9]: for everybody, in place of whatever the client sends."""
    fixed = {"authorization": {"value": "Bearer s3cret"}}
    denylist = Denylist()
    denylist.synchronised_at = NOW
    routes = (
        {"path": "/public/", "access": "public", **fixed},
        {"path": "/optional/", "access": "optional", **fixed},
    )
    knowledge = Knowledge(
        compile_settings(settings(*routes)), {}, denylist, Memory(), lambda _: None, lambda _: False
    )
    asked = request((b"Authorization", b"Basic eDp5"), (b"Connection", b"authorization"))
    asked.target = target
    answer = decide(asked, knowledge, NOW, "request-1")
    assert isinstance(answer, Forward)
    assert values(answer.headers, b"Authorization") == [b"Bearer s3cret"]


def test_sessions_keep_a_token_where_one_is_used():
    """[11.9]: and nowhere else: what is not kept cannot be stolen."""

    def keeps(*routes: dict) -> bool:
        return compile_settings(settings(*routes)).providers["corporate"].keeps_access_token

    assert not keeps(
        {"path": "/"}, {"path": "/a/", "authorization": {"basic": {"username": "sub", "password": "x"}}}
    )
    assert keeps({"path": "/"}, {"path": "/a/", "authorization": "access_token"})
    assert keeps({"path": "/", **EXCHANGE})
