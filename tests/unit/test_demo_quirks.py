"""Every fault switch of the demo provider changes the answer in the way that it says."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import jwt
import pytest
from aiohttp import web

from gateway.demo.faults import ENDPOINTS, QUIRKS, Quirks
from gateway.demo.tokens import LOGOUT_EVENT
from tests.support.relying_party import CALLBACK, CHALLENGE, SECRET, query_of, started, unverified

pytestmark = pytest.mark.asyncio

PROBES = {}


def probe(*names):
    """Register a coroutine that tells, without and with the switch, whether its fault is there."""

    def register(function):
        PROBES.update(dict.fromkeys(names, function))
        return function

    return register


@pytest.fixture
async def client():
    async with started() as client:
        yield client


@pytest.mark.parametrize("name", sorted(QUIRKS))
async def test_a_switch_does_what_it_says(client, name):
    """The fault is absent before the switch, there with it, and gone after it."""
    has_fault = PROBES[name]
    assert not await has_fault(client, name)
    client.provider.quirks.add(name)
    assert await has_fault(client, name)
    client.provider.quirks.clear()
    assert not await has_fault(client, name)


async def test_unknown_switches_are_errors(client):
    """A misspelt switch never passes silently, whichever way it is set or asked for."""
    quirks = client.provider.quirks
    with pytest.raises(ValueError, match="no fault"):
        quirks.add("nonce-invalud")
    with pytest.raises(ValueError, match="no fault"):
        quirks.update({"invalid-iss", "x"})
    with pytest.raises(ValueError, match="no fault"):
        quirks |= {"y"}
    with pytest.raises(ValueError, match="no fault"):
        client.provider.quirks = {"z"}
    with pytest.raises(ValueError, match="no fault"):
        Quirks(["z"])
    with pytest.raises(ValueError, match="no fault"):
        _ = "z" in quirks
    client.provider.quirks = {"invalid-aud"}
    client.provider.quirks |= {"missing-sub"}
    assert client.provider.quirks is quirks
    assert {"invalid-aud", "missing-sub"} <= quirks


ID_TOKEN_FAULTS = {
    "invalid-iss": lambda claims: claims["iss"] == "https://somewhere-else.example",
    "missing-sub": lambda claims: "sub" not in claims,
    "invalid-aud": lambda claims: claims["aud"] == "demo-other",
    "missing-aud": lambda claims: "aud" not in claims,
    "missing-iat": lambda claims: "iat" not in claims,
    "groups-overage": lambda claims: "groups" not in claims and claims["_claim_names"] == {"groups": "src1"},
    "no-auth-time": lambda claims: "auth_time" not in claims,
    "nonce-invalid": lambda claims: claims["nonce"] != "n-1",
}


@probe(*ID_TOKEN_FAULTS)
async def id_token_fault(client, name):
    """Look at the claims of an ID token that is otherwise good."""
    token = (await client.log_in())["id_token"]
    return ID_TOKEN_FAULTS[name](await client.read(token, None))


@probe("invalid-athash")
async def at_hash_fault(client, name):
    """Compare with what this access token's hash must be."""
    from gateway.core.tokens.id_token import hash_half

    tokens = await client.log_in()
    right = hash_half("RS256", 256, tokens["access_token"]).decode()
    return unverified(tokens["id_token"])["at_hash"] != right


@probe("idtoken-sig-none")
async def unsigned(client, name):
    """Look for alg none without a signature."""
    token = (await client.log_in())["id_token"]
    return jwt.get_unverified_header(token)["alg"] == "none" and token.endswith(".")


@probe("invalid-sig-rs256", "invalid-sig-es256", "invalid-sig-hs256")
async def broken_signature(client, name):
    """The algorithm is the named one, and the right key does not verify."""
    token = (await client.log_in())["id_token"]
    header = jwt.get_unverified_header(token)
    alg = header["alg"]
    key = SECRET if alg == "HS256" else (await client.keys())[header["kid"]]
    try:
        jwt.decode(token, key, algorithms=[alg], options={"verify_aud": False, "verify_iat": False})
    except jwt.InvalidSignatureError:
        return alg == name[-5:].upper()
    return False


@probe("kid-absent-single-jwks", "kid-absent-multiple-jwks")
async def nameless_key(client, name):
    """Without kid; the one key of the set verifies it, or several would fit."""
    token = (await client.log_in())["id_token"]
    _, text = await client.get("/jwks")
    keys = [jwk for jwk in json.loads(text)["keys"] if jwk["kty"] == "RSA"]
    if "kid" in jwt.get_unverified_header(token):
        return False
    jwt.decode(token, jwt.PyJWK(keys[0]), options={"verify_aud": False, "verify_iat": False})
    return len(keys) == 1 if name == "kid-absent-single-jwks" else len(keys) > 1


@probe("signing-key-rotation", "signing-key-rotation-just-before-signing")
async def rotated(client, name):
    """The key of the ID token is not among those that were published before the login."""
    before = await client.keys()
    token = (await client.log_in())["id_token"]
    await client.read(token, "demo")
    return jwt.get_unverified_header(token)["kid"] not in before


@probe("userinfo-invalid-sub")
async def userinfo_of_another(client, name):
    """Compare the subject of UserInfo with the login's."""
    token = client.provider.mint("alice", "openid")
    _, text = await client.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    return json.loads(text)["sub"] != "alice"


async def discovered(client):
    return json.loads((await client.get("/.well-known/openid-configuration"))[1])


@probe("discovery-issuer-mismatch")
async def mismatch(client, name):
    """The document names somebody else."""
    return (await discovered(client))["issuer"] != client.provider.issuer


@probe("issuer-trailing-slash")
async def trailing_slash(client, name):
    """Issuer and everything that names it end in a slash, consistently."""
    claims = unverified((await client.log_in())["id_token"])
    assert claims["iss"] == (await discovered(client))["issuer"] == client.provider.issuer
    return claims["iss"].endswith("/")


@probe("double-slash-endpoints")
async def double_slash(client, name):
    """Paths begin with two slashes, and work."""
    document = await discovered(client)
    async with client.session.get(document["jwks_uri"]) as answer:
        assert answer.status == 200
    return all(
        url.startswith(client.provider.base + "//")
        for key, url in document.items()
        if key.endswith(("_endpoint", "jwks_uri"))
    )


async def refreshed(client):
    tokens = await client.log_in()
    return tokens, json.loads((await client.refresh(tokens["refresh_token"]))[1])


@probe("refresh-invalid-issuer", "refresh-invalid-sub")
async def refreshed_for_another(client, name):
    """The login is right, its refresh is about somebody else."""
    first, second = (unverified(each["id_token"]) for each in await refreshed(client))
    assert (first["iss"], first["sub"]) == (client.provider.issuer, "alice")
    claim = {"refresh-invalid-issuer": "iss", "refresh-invalid-sub": "sub"}[name]
    return first[claim] != second[claim]


@probe("no-id-token-at-refresh")
async def no_id_token(client, name):
    """The refresh has none, the login has."""
    first, second = await refreshed(client)
    assert "id_token" in first
    return "id_token" not in second


@probe("refresh-no-rotation")
async def no_rotation(client, name):
    """No new refresh token; the old one goes on."""
    first, second = await refreshed(client)
    if "refresh_token" in second:
        return False
    return (await client.refresh(first["refresh_token"]))[0].status == 200


@probe("no-refresh-token")
async def no_refresh_token(client, name):
    """A login that asks for one gets none."""
    return "refresh_token" not in await client.log_in()


@probe("client-refused")
async def client_refused(client, name):
    """Every call of the client is refused, at each endpoint."""
    client.provider.pushed_requests = "offered"
    calls = ("/token", {"grant_type": "client_credentials"}), ("/revoke", {"token": "x"}), ("/par", PUSHED)
    statuses = {(await client.post(path, fields))[0].status for path, fields in calls}
    assert len(statuses - {201}) == 1
    return statuses == {401}


PUSHED = {
    "response_type": "code",
    "client_id": "demo",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@probe("par-refused", "par-no-request-uri", "par-expired")
async def pushed_fault(client, name):
    """What comes of a pushed request, and of the browser that comes with it."""
    client.provider.pushed_requests = "offered"
    answer, text = await client.post("/par", PUSHED)
    if name == "par-refused":
        return (answer.status, json.loads(text).get("error")) == (400, "invalid_request")
    assert answer.status == 201
    reference = json.loads(text).get("request_uri")
    if name == "par-no-request-uri":
        return reference is None
    return (await client.get(f"/authorize?client_id=demo&request_uri={reference}"))[0].status == 400


@probe("resource-refused", "resource-ignored")
async def resource_fault(client, name):
    """What comes of a login for a resource that is registered."""
    client.provider.client.resources = frozenset({"urn:a"})
    if name == "resource-refused":
        answer, _ = await client.form(resource="urn:a")
        return answer.status == 303 and query_of(answer)["error"] == "invalid_target"
    return unverified((await client.log_in(resource="urn:a"))["access_token"])["aud"] != "urn:a"


@probe("refresh-empty-400", "refresh-invalid-request")
async def odd_refusal(client, name):
    """How a refused refresh is told; a good one is not touched."""
    tokens = await client.log_in()
    assert (await client.refresh(tokens["refresh_token"]))[0].status == 200
    answer, text = await client.refresh("unknown")
    assert answer.status == 400
    if name == "refresh-empty-400":
        return text == ""
    return json.loads(text)["error"] == "invalid_request"


@probe("refresh-reuse-leeway")
async def leeway(client, name):
    """The old token again gets the same tokens, for some seconds; later it ends the login."""
    first, second = await refreshed(client)
    client.clock.now += 9
    answer, text = await client.refresh(first["refresh_token"])
    if answer.status != 200:
        return False
    assert json.loads(text) == second
    client.clock.now += 2
    assert (await client.refresh(first["refresh_token"]))[0].status == 400
    assert (await client.refresh(second["refresh_token"]))[0].status == 400
    return True


@probe("lower-case-bearer")
async def lower_case(client, name):
    """How token_type is written."""
    return (await client.log_in())["token_type"] == "bearer"


@probe("access-token-typ-jwt")
async def plain_type(client, name):
    """The access token's typ."""
    return jwt.get_unverified_header((await client.log_in())["access_token"])["typ"] == "JWT"


@probe("token-503-retry-after")
async def maintenance(client, name):
    """A 503 that says when to come back; the refresh token is not spent by it."""
    client.provider.quirks.discard(name) if (on := name in client.provider.quirks) else None
    token = (await client.log_in())["refresh_token"]
    if on:
        client.provider.quirks.add(name)
    answer, _ = await client.refresh(token)
    client.provider.quirks.discard(name)
    if answer.status == 200:
        return False
    assert (await client.refresh(token))[0].status == 200
    return (answer.status, answer.headers["Retry-After"]) == (503, "7")


@probe("token-lost-after-commit")
async def lost(client, name):
    """The connection breaks, and the refresh token is spent all the same."""
    on = name in client.provider.quirks
    client.provider.quirks.clear()
    token = (await client.log_in())["refresh_token"]
    client.provider.quirks.update({name} if on else ())
    try:
        await client.refresh(token)
    except aiohttp.ClientError:
        client.provider.quirks.clear()
        return (await client.refresh(token))[0].status == 400
    return False


SHAPES = {
    "html": lambda answer, text: answer.status == 200 and text.startswith("<!doctype html>"),
    "huge": lambda answer, text: answer.status == 200 and len(text) > 2_000_000 and bool(json.loads(text)),
    "non-json": lambda answer, text: (answer.content_type, text[0]) == ("application/json", "a"),
    "5xx": lambda answer, text: answer.status == 500,
}


async def ask(client, where):
    if where == "discovery":
        return await client.get("/.well-known/openid-configuration")
    if where == "jwks":
        return await client.get("/jwks")
    if where == "par":
        client.provider.pushed_requests = "offered"
        return await client.post("/par", PUSHED)
    if where == "token":
        return await client.post("/token", {"grant_type": "client_credentials"})
    token = client.provider.mint("alice", "openid")
    if where == "introspection":
        return await client.post("/introspect", {"token": token})
    return await client.get("/userinfo", headers={"Authorization": f"Bearer {token}"})


@probe(*(f"{where}-{shape}" for where in ENDPOINTS for shape in SHAPES))
async def misshapen(client, name):
    """What the endpoint answers; the others are well."""
    where, _, shape = name.partition("-")
    for other in set(ENDPOINTS) - {where}:
        assert (await ask(client, other))[0].status in (200, 201)
        json.loads((await ask(client, other))[1])
    return SHAPES[shape](*await ask(client, where))


@probe(*(f"{where}-truncated" for where in ENDPOINTS))
async def truncated(client, name):
    """A 200 whose body breaks off."""
    try:
        await ask(client, name.partition("-")[0])
    except aiohttp.ClientPayloadError:
        return True
    return False


@probe(*(f"{where}-slow" for where in ENDPOINTS))
async def slow(client, name):
    """Nothing for slow_seconds; with none to wait for, the right answer."""
    client.provider.slow_seconds = 3600
    where = name.partition("-")[0]
    waiting = asyncio.create_task(ask(client, where))
    done, _ = await asyncio.wait({waiting}, timeout=0.1 if name in client.provider.quirks else 60)
    waiting.cancel()
    client.provider.slow_seconds = 0
    assert (await ask(client, where))[0].status in (200, 201)
    return not done


@probe("opaque-access-tokens")
async def opaque(client, _):
    """Tokens are no JWTs, and the introspection endpoint and UserInfo know what they mean."""
    token = client.provider.mint("alice", "openid api")
    answer, text = await client.post("/introspect", {"token": token})
    assert (answer.status, json.loads(text)["sub"]) == (200, "alice")
    found, _ = await client.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert found.status == 200
    return "." not in token


INTROSPECTION_FAULTS = {
    "active-text": lambda _, __, found: found.get("active") == "true",
    "no-active": lambda _, __, found: "active" not in found,
    "refuses-client": lambda answer, _, __: answer.status == 401,
    "429": lambda answer, _, __: (answer.status, answer.headers.get("Retry-After")) == (429, "7"),
    "ignores-accept": lambda answer, _, __: answer.content_type == "application/json",
    "alg-none": lambda _, header, __: header.get("alg") == "none",
    "wrong-alg": lambda _, header, __: header.get("alg") == "HS256",
    "wrong-typ": lambda _, header, __: header.get("typ") == "JWT",
    "wrong-iss": lambda _, header, __: header.get("iss") == "https://somewhere-else.example",
    "wrong-aud": lambda _, header, __: header.get("aud") == "demo-other",
    "missing-iat": lambda _, header, __: "typ" in header and "iat" not in header,
    "replayed": lambda _, header, __: header.get("iat", header.get("now")) == header.get("now", 0) - 3600,
    "empty": lambda _, header, __: "typ" in header and "token_introspection" not in header,
}


@probe(*(f"introspection-{fault}" for fault in INTROSPECTION_FAULTS))
async def introspection(client, name):
    """What a signed answer holds: its header and claims together, and the members about the token."""
    token = client.provider.mint("alice", "openid")
    accept = {"Accept": "application/token-introspection+jwt"}
    answer, text = await client.post("/introspect", {"token": token}, headers=accept)
    told, header = {}, {}
    if answer.content_type == "application/json":
        told = json.loads(text)
    elif answer.status == 200:
        now = int(client.provider.clock())
        header = {**jwt.get_unverified_header(text), **unverified(text), "now": now}
        told = header.get("token_introspection", {})
    return INTROSPECTION_FAULTS[name.removeprefix("introspection-")](answer, header, told)


@pytest.mark.parametrize("shape", ["html", "huge", "non-json", "5xx", "truncated"])
async def test_a_spoiled_token_answer_spends_nothing(client, shape):
    """R34: after the outage the same refresh token is good."""
    token = (await client.log_in())["refresh_token"]
    client.provider.quirks.add(f"token-{shape}")
    try:
        assert "refresh_token" not in (await client.refresh(token))[1]
    except aiohttp.ClientPayloadError:
        assert shape == "truncated"
    client.provider.quirks.clear()
    assert (await client.refresh(token))[0].status == 200
    assert client.provider.counts["token:refresh_token"] == 2


LOGOUT_FAULTS = {
    "alg-none": lambda header, claims: header["alg"] == "none",
    "wrong-alg": lambda header, claims: header["alg"] == "HS256",
    "no-event": lambda header, claims: "events" not in claims,
    "with-nonce": lambda header, claims: "nonce" in claims,
    "wrong-aud": lambda header, claims: claims["aud"] != "demo",
    "wrong-event": lambda header, claims: LOGOUT_EVENT not in claims.get("events", ()),
    "wrong-iss": lambda header, claims: not claims["iss"].startswith("http://127.0.0.1"),
}


@asynccontextmanager
async def receiver():
    """Run an endpoint for logout tokens; yield its address and what it got."""
    got = []

    async def handle(request):
        got.append((await request.post())["logout_token"])
        return web.Response(status=400, text="bad", headers={"Cache-Control": "no-store"})

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", got
    finally:
        await runner.cleanup()


@probe(*(f"backchannel-{fault}" for fault in LOGOUT_FAULTS))
async def logout_fault(client, name):
    """Look at the logout token that arrives."""
    async with receiver() as (uri, got):
        await client.provider.backchannel_logout(sub="alice", sid="s", uri=uri)
    return LOGOUT_FAULTS[name.removeprefix("backchannel-")](
        jwt.get_unverified_header(got[0]), unverified(got[0])
    )


async def test_a_logout_token_and_its_answer(client):
    """R51, R52: a good logout token by form, and the client's whole answer comes back."""
    async with receiver() as (uri, got):
        answer = await client.provider.backchannel_logout(sid="s", uri=uri)
    assert (answer.status, answer.headers["cache-control"], answer.text) == (400, "no-store", "bad")
    assert jwt.get_unverified_header(got[0])["typ"] == "logout+jwt"
    claims = await client.read(got[0], "demo")
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert (claims["sid"], "sub" in claims, "nonce" in claims, bool(claims["jti"])) == (
        "s",
        False,
        False,
        True,
    )


@probe("rp-init-logout-no-state", "rp-init-logout-other-state")
async def logout_state(client, name):
    """What comes back as state."""
    hint = (await client.log_in())["id_token"]
    uri = "http://localhost:1/.gateway/logged-out"
    answer, _ = await client.get(f"/logout?id_token_hint={hint}&post_logout_redirect_uri={uri}&state=mine")
    state = query_of(answer).get("state")
    return state is None if name == "rp-init-logout-no-state" else state not in {"mine", None}
