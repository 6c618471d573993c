"""The demo provider checks its client in earnest: signatures, times, audiences, replays, references."""

import contextlib
import json

import jwt
import pytest
from aiohttp import web

from gateway.demo.clients import ASSERTION_TYPE, Registration
from tests.support.jose import jwk, private_key
from tests.support.relying_party import CALLBACK, CHALLENGE, query_of, started, unverified

pytestmark = pytest.mark.asyncio

PUSHED = {
    "response_type": "code",
    "client_id": "demo",
    "redirect_uri": CALLBACK,
    "scope": "openid email",
    "state": "st",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@contextlib.asynccontextmanager
async def published(document: object, status: int = 200, kind: str = "application/json"):
    """Serve a JWK Set; yield its address."""

    async def handle(_request):
        return web.Response(status=status, text=json.dumps(document), content_type=kind)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    finally:
        await runner.cleanup()


@pytest.fixture
async def client():
    key = jwk("ES256", "client", kid="k1", use="sig", alg="ES256")
    async with published({"keys": [key]}) as uri, started() as client:
        client.provider.client = Registration(auth="private_key_jwt", jwks_uri=uri)
        yield client


def signed(client, key=None, alg="ES256", header=None, **change):
    """Return the fields of a call that is right but for ``change``; None leaves a claim out."""
    now = int(client.clock())
    claims = {
        "iss": "demo",
        "sub": "demo",
        "aud": client.provider.issuer,
        "exp": now + 60,
        "iat": now,
        "jti": f"jti-{id(change)}-{len(client.provider.client.seen)}",
    } | change
    told = {name: value for name, value in claims.items() if value is not None}
    key = private_key("ES256", "client") if key is None else key
    assertion = jwt.encode(told, key, alg, {"kid": "k1", **(header or {})})
    return {
        "grant_type": "client_credentials",
        "client_id": "demo",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }


async def status_of(client, fields, path="/token"):
    return (await client.post(path, fields, auth=None))[0].status


async def test_a_right_assertion_is_good_once(client):
    """R15 [11.5]: RFC 7523 section 3: signed by a published key, for this server, in time, and new."""
    fields = signed(client)
    assert await status_of(client, fields) == 200
    assert await status_of(client, fields) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"},
        {"sub": "other"},
        {"sub": None},
        {"aud": None},
        {"aud": "https://other.example"},
        {"aud": ["https://other.example"]},
        {"exp": None},
        {"exp": 1_799_999_999},
        {"exp": 1_800_009_999},
        {"exp": "soon"},
        {"iat": None},
        {"iat": 1_800_000_100},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
    ],
)
async def test_a_wrong_claim_is_refused(client, change):
    """R15 [11.5]: each of them by itself."""
    assert await status_of(client, signed(client, **change)) == 401


async def test_several_audiences_are_refused(client):
    """R15 [11.5]: an assertion that is good elsewhere too could be used by whoever it was sent to."""
    both = [client.provider.issuer, "https://other.example"]
    assert await status_of(client, signed(client, aud=both)) == 401


async def test_forgeries(client):
    """R18 [11.5]: another key, another algorithm, an unknown key, none at all, and what is no JWT."""
    public = json.dumps(jwk("ES256", "client"))
    forged = [
        signed(client, private_key("ES256", "thief")),
        signed(client, "secret" * 8, "HS256"),
        signed(client, private_key("RS", "thief"), "RS256"),
        signed(client, header={"kid": "k2"}),
        signed(client, header={"jwk": json.loads(public)}, key=private_key("ES256", "thief")),
        {**signed(client), "client_assertion": "x"},
        {**signed(client), "client_assertion": ""},
        {**signed(client), "client_assertion_type": "urn:other"},
        {**signed(client), "client_secret": "x"},
        {**signed(client), "client_id": "other"},
    ]
    head, claims, _ = signed(client)["client_assertion"].split(".")
    forged.append({**signed(client), "client_assertion": f"{head}.{claims}."})
    for fields in forged:
        assert await status_of(client, fields) == 401, fields
    # a secret is no way in, though it is the right one
    answer, _ = await client.post("/token", {"grant_type": "client_credentials"})
    assert answer.status == 401


@pytest.mark.parametrize(
    ("document", "status", "kind"),
    [
        ({"keys": []}, 200, "application/json"),
        ({"keys": "x"}, 200, "application/json"),
        ([], 200, "application/json"),
        ({"keys": [jwk("ES256", "client", kid="k1", use="enc", alg="ES256")]}, 200, "application/json"),
        (
            {"keys": [{**jwk("ES256", "client", kid="k1", use="sig", alg="ES256"), "d": "x"}]},
            200,
            "application/json",
        ),
        ({"keys": [jwk("ES256", "client", kid="k1", use="sig", alg="ES256")]}, 404, "application/json"),
        ({"keys": [jwk("ES256", "client", kid="k1", use="sig", alg="ES256")]}, 302, "application/json"),
        ({"keys": [jwk("ES256", "client", kid="k1", use="sig", alg="ES256")]}, 200, "text/html"),
    ],
)
async def test_what_is_no_key_set(document, status, kind):
    """R31 [11.5]: a client whose published keys cannot be used is not known."""
    async with published(document, status, kind) as uri, started() as client:
        client.provider.client = Registration(auth="private_key_jwt", jwks_uri=uri)
        assert await status_of(client, signed(client)) == 401


async def test_a_reference_serves_once_in_time_for_its_client():
    """RFC 9126 section 4 [11.5]: and the browser's own parameters say nothing beside it."""
    async with started() as client:
        client.provider.pushed_requests = "required"
        assert (await client.get(f"/authorize?client_id=demo&redirect_uri={CALLBACK}"))[0].status == 400
        assert (await client.post("/par", PUSHED, auth=None))[0].status == 401
        for change in (
            {"redirect_uri": "https://evil.example"},
            {"client_id": "x"},
            {"request_uri": "urn:x"},
        ):
            assert (await client.post("/par", {**PUSHED, **change}))[0].status == 400, change
        answer, text = await client.post("/par", {**PUSHED, "resource": "urn:other"})
        assert (answer.status, json.loads(text)["error"]) == (400, "invalid_target")
        pushed = [json.loads((await client.post("/par", PUSHED))[1])["request_uri"] for _ in range(3)]
        asked = (
            f"/authorize?client_id=demo&request_uri={pushed[0]}&scope=all&redirect_uri=https://evil.example"
        )
        answer, page = await client.get(asked)
        assert answer.status == 200
        assert query_of((await client.submit(page))[0])["state"] == "st"
        assert (await client.get(asked))[0].status == 400
        assert (await client.get(f"/authorize?client_id=other&request_uri={pushed[1]}"))[0].status == 400
        client.clock.now += 61
        assert (await client.get(f"/authorize?client_id=demo&request_uri={pushed[2]}"))[0].status == 400
        assert (await client.get("/authorize?client_id=demo&request_uri="))[0].status == 400


async def test_resources():
    """RFC 8707 [11.5]: several, all registered; the code's and the refresh's are no more than the login's."""
    async with started() as client:
        client.provider.client.resources = frozenset({"urn:a", "urn:b"})
        code = await client.code(resource="urn:a")
        answer, text = await client.redeem(code, resource="urn:b")
        assert (answer.status, text["error"]) == (400, "invalid_target")
        tokens = await client.log_in(resource="urn:a")
        assert unverified(tokens["access_token"])["aud"] == "urn:a"
        _, text = await client.refresh(tokens["refresh_token"], resource="urn:b")
        assert json.loads(text)["error"] == "invalid_target"
        answer, _ = await client.form(resource="urn:c")
        assert query_of(answer)["error"] == "invalid_target"
