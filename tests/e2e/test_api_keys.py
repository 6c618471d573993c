"""API keys: made by an operator, presented by machines, stripped upstream, refused at once when revoked."""

import asyncio
import base64
import hashlib
import json
import os
import sys

import jwt
import pytest
import yaml

from gateway.config.settings.root import Settings
from gateway.syntax.api_keys import compose, id_of
from tests.support.fleet import Fleet
from tests.support.world import ADMIN_TOKEN, World

SETTINGS = {
    "api_keys": {},
    "routes": [
        {"path": "/public/", "upstream": "app", "access": "public", "authorization": "pass"},
        {"path": "/optional/", "upstream": "app", "access": "optional", "api_keys": True},
        {"path": "/people/", "upstream": "app", "access": "required", "authorization": "pass"},
        {
            "path": "/deploy/",
            "upstream": "app",
            "access": "required",
            "api_keys": True,
            "authorization": "pass",
            "require": {"scopes": ["deploy"]},
        },
        {"path": "/", "upstream": "app", "access": "required", "api_keys": True, "provider": "demo"},
    ],
    "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Issuer": "iss", "X-Key": "key_id"},
}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(SETTINGS)]


def new_key() -> str:
    return compose(os.urandom(10), os.urandom(32))


def told(key: str, world: World, **changes) -> dict:
    """Return what the command sends of a key: its hash, never itself."""
    fields = {
        "id": id_of(key),
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "owner": "ci",
        "scopes": ["deploy"],
        "expires": world.clock() + 3600,
    }
    return fields | changes


async def create(world: World, **changes) -> str:
    key = new_key()
    page = await world.admin("POST", "/keys", json=told(key, world, **changes))
    assert page.status == 200, page.text
    return key


async def fetch(world: World, path: str, key: str | None = None, *, base: str = "", **headers: str):
    given = {"X-API-Key": key} if key is not None else {}
    page = await world.browser().fetch(base + path, headers={**given, **headers})
    reason = json.loads(page.text)["reason"] if page.status >= 400 else ""
    return page.status, reason


async def test_a_key_is_made_and_lets_a_machine_in(world: World):
    """[11.8] By its own field and as a bearer token; the upstream learns whose it is and never sees it."""
    key = await create(world)
    for headers in ({"X-API-Key": key}, {"x-api-key": key}, {"Authorization": f"Bearer {key}"}):
        page = await world.browser().fetch("/deploy/x", headers=headers)
        assert page.status == 200
        sent = world.upstream.last().headers
        assert sent["X-Forwarded-User"] == "ci"
        assert sent["X-Forwarded-Issuer"] == "urn:token-gateway:api-keys"
        assert sent["X-Key"] == id_of(key)
        assert key not in str(world.upstream.last().raw_headers)
        assert "Authorization" not in sent
    assert key not in json.dumps(world.lines)
    assert [each["key"] for each in world.audit("api_key_created")] == [id_of(key)]
    assert {line.get("key") for line in world.audit("request")} == {id_of(key)}


async def test_a_revoked_key_is_refused_at_once_everywhere(world: World):
    """R44 [11.8]: by the next request at every gateway of the store, also where it was known already."""
    key = await create(world)
    other = await world.start_gateway(Settings.model_validate(world.config() | {"listen": "127.0.0.1:0"}))
    bases = ("", f"http://localhost:{other.port}")
    for base in bases:
        assert await fetch(
            world, "/deploy/x", key, base=base, Host="localhost:" + str(world.public_port)
        ) == (
            200,
            "",
        )
    page = await world.admin("DELETE", f"/keys/{id_of(key)}")
    answer = json.loads(page.text)
    assert (page.status, answer["missing"], len(answer["acknowledged"])) == (200, [], 2)
    for base in bases:
        status = await fetch(world, "/deploy/x", key, base=base, Host=f"localhost:{world.public_port}")
        assert status == (401, "revoked")
    (listed,) = json.loads((await world.admin("GET", "/keys")).text)["keys"]
    assert listed["revoked"]


async def test_what_is_no_key_lets_nobody_in(world: World):
    """R53 [11.8]: another secret, another id, garbage, empty, in two places, under another spelling."""
    key = await create(world)
    assert await fetch(world, "/deploy/x", key) == (200, "")
    other = new_key()
    forged = key[:21] + other[21:]
    for text in (forged, other, key[:-1], key + "x", key.upper(), "gwk_", "gwk_x", id_of(key), "x" * 9000):
        assert await fetch(world, "/deploy/x", text) == (401, "key_unknown"), text
    for token in (forged, other, key + "x", "gwk_"):
        assert await fetch(world, "/deploy/x", Authorization=f"Bearer {token}") == (401, "key_unknown"), token
    assert await fetch(world, "/deploy/x", "") == (401, "key_unknown")
    bearer = {"Authorization": f"Bearer {key}"}
    assert (await fetch(world, "/deploy/x", key, **bearer))[0] == 400
    assert await fetch(world, "/deploy/x", X_API_Key=key) == (401, "credentials_missing")
    assert await fetch(world, "/deploy/x", key) == (200, "")


async def test_a_key_counts_only_where_a_route_takes_keys(world: World):
    """R70 [11.8]: elsewhere it is refused, and no more is told; nobody sees it upstream, public or not."""
    key = await create(world)
    assert await fetch(world, "/people/x", key) == (401, "key_unknown")
    assert await fetch(world, "/people/x", Authorization=f"Bearer {key}") == (401, "key_unknown")
    assert await fetch(world, "/optional/x", new_key()) == (401, "key_unknown")
    for headers in (
        {"X-API-Key": key},
        {"x_api_key": key},
        {"Authorization": f"Bearer {key}"},
        {"authorization": f"bEARER   {key}"},
        {"Authorization": f"DPoP {key}"},
        {"Authorization": f"Token {key}"},
        {"Authorization": key},
        {"X-API-Key": key, "Authorization": "Basic eDp5"},
    ):
        assert (await world.browser().fetch("/public/x", headers=headers)).status == 200
        sent = world.upstream.last()
        assert key.encode() not in b"".join(b"".join(each) for each in sent.raw_headers)
        assert sent.headers.get("Authorization") == (
            "Basic eDp5" if "Basic eDp5" in headers.values() else None
        )


async def test_what_is_for_the_upstream_may_ride_beside_a_key(world: World):
    """[11.8] Another scheme's credentials pass where the route lets them; a second token or key does not."""
    key = await create(world)
    basic = {"X-API-Key": key, "Authorization": "Basic eDp5"}
    assert (await world.browser().fetch("/deploy/x", headers=basic)).status == 200
    assert world.upstream.last().headers["Authorization"] == "Basic eDp5"
    token = world.provider.mint("alice", scope="deploy")
    assert (await fetch(world, "/deploy/x", key, Authorization=f"Bearer {token}"))[0] == 400
    browser = world.browser()
    await browser.login("/")
    page = await browser.fetch("/x", headers={"X-API-Key": key})
    assert (page.status, json.loads(page.text)["reason"]) == (400, "credentials_conflict")


async def test_scopes_and_expiry(world: World):
    """[11.8] A key has the scopes that it was given, until it expires, remembered or not."""
    reading, deploying = await create(world, scopes=["read"]), await create(world)
    assert await fetch(world, "/deploy/x", reading) == (403, "scope_missing")
    assert await fetch(world, "/x", reading) == (200, "")
    assert await fetch(world, "/deploy/x", deploying) == (200, "")
    world.clock.advance(3599)
    assert await fetch(world, "/deploy/x", deploying) == (200, "")
    world.clock.advance(2)
    assert await fetch(world, "/deploy/x", deploying) == (401, "key_expired")


async def test_a_key_of_the_configuration(world: World):
    """[11.8] Only its hash stands there; it ends by the denylist, by its date, and by going from the file."""
    key, late = new_key(), new_key()
    entry = {"sha256": hashlib.sha256(key.encode()).hexdigest(), "owner": "robot", "expires": "2199-01-31"}
    expired = entry | {"sha256": hashlib.sha256(late.encode()).hexdigest(), "expires": "2026-01-01T00:00:00Z"}
    with_keys = {"api_keys": {"keys": {id_of(key): entry, id_of(late): expired}}}
    world.gateway.reload(Settings.model_validate(world.config() | with_keys))
    assert await fetch(world, "/x", key) == (200, "")
    assert world.upstream.last().headers["X-Forwarded-User"] == "robot"
    assert await fetch(world, "/x", late) == (401, "key_expired")
    assert await fetch(world, "/x", key[:-2] + "xx") == (401, "key_unknown")
    await world.gateway.api_keys.drain()
    listed = {each["id"]: each for each in json.loads((await world.admin("GET", "/keys")).text)["keys"]}
    assert {each["source"] for each in listed.values()} == {"configuration"}
    assert listed[id_of(key)]["last_used"]
    assert not listed[id_of(late)]["last_used"]
    for body, met in (({"key": id_of(key)}, 1), ({"key": id_of(new_key())}, 0), ({"sub": "alice"}, None)):
        page = await world.admin("POST", "/revoke", json=body)
        assert (page.status, json.loads(page.text)["keys"]) == (200, met)
    assert await fetch(world, "/x", key) == (401, "revoked")
    world.gateway.reload(Settings.model_validate(world.config()))
    assert await fetch(world, "/x", key) == (401, "key_unknown")


async def test_everybody_means_keys_too_and_for_as_long_as_they_live(world: World):
    """R44 [11.8]: ``all`` ends the keys made before, and they do not come back when sessions could not."""
    key = await create(world, expires=world.clock() + 300 * 86400)
    assert await fetch(world, "/x", key) == (200, "")
    assert (await world.admin("POST", "/revoke", json={"all": True})).status == 200
    assert await fetch(world, "/x", key) == (401, "revoked")
    world.clock.advance(200 * 86400)
    assert await fetch(world, "/x", key) == (401, "revoked")
    assert await fetch(world, "/x", await create(world)) == (200, "")


async def test_when_it_was_used_last(world: World):
    """[11.8] Kept once a minute; who knows the id alone, and not the secret, moves nothing."""
    key = await create(world)

    async def last_used():
        await world.gateway.api_keys.drain()
        (listed,) = json.loads((await world.admin("GET", "/keys")).text)["keys"]
        assert "sha256" not in listed
        return listed["last_used"]

    assert await last_used() is None
    await fetch(world, "/x", key[:-4] + "nope")
    assert await last_used() is None
    await fetch(world, "/x", key)
    first = await last_used()
    assert first == pytest.approx(world.clock(), abs=20)
    world.clock.advance(61)
    await fetch(world, "/x", key)
    assert await last_used() > first + 50


async def test_whoever_can_write_to_the_store_makes_no_key(world: World):
    """R45 [11.8]: a record that is not sealed by us, or is another key's, is none."""
    mine, yours = await create(world), new_key()
    store = world.gateway.store
    sealed = await store.execute("HGET", store.key("apikey", f"{{{id_of(mine)}}}"), "k")
    for record in (sealed, b"", b"x", json.dumps([id_of(yours)]).encode()):
        await store.execute("HSET", store.key("apikey", f"{{{id_of(yours)}}}"), "k", record)
        assert (await fetch(world, "/x", yours))[0] == 401
    dump = await store.execute("HGETALL", store.key("apikey", f"{{{id_of(mine)}}}"))
    assert b"ci" not in b"".join(dump)


async def test_a_new_secret_key_seals_anew(world: World):
    """[11.8] So that the old one can go: nobody's key dies of a rotation."""
    key = await create(world)
    first, second = world.config()["secret_keys"], ["A" * 43 + "="]
    for keys in (second + first, second):
        world.gateway.reload(Settings.model_validate(world.config() | {"secret_keys": keys}))
        await world.gateway.api_keys.drain()
    assert await fetch(world, "/x", key) == (200, "")


async def test_unknown_keys_are_looked_up_so_often_and_no_more(world: World):
    """[11.8] An address that guesses is told 429; keys that were taken before go on."""
    key = await create(world)
    assert await fetch(world, "/x", key) == (200, "")
    answers = [await fetch(world, "/x", new_key()) for _ in range(65)]
    assert answers[:60] == [(401, "key_unknown")] * 60
    assert answers[-1] == (429, "rate_limited")
    assert await fetch(world, "/x", key) == (200, "")
    assert world.gateway.api_keys.looked_up <= 63


async def test_many_secrets_under_one_id_cause_few_looks(world: World):
    """[11.8] Whoever has seen an id in a log cannot keep the store busy."""
    key = await create(world)
    before = world.gateway.api_keys.looked_up
    for number in range(50):
        assert (await fetch(world, "/x", f"{key[:-4]}{number:04}"))[0] == 401
    assert world.gateway.api_keys.looked_up - before <= 10


async def test_what_was_open_ends_with_its_key(world: World):
    """R49 [11.8]: a WebSocket that a key let in is closed in the moment in which it is revoked."""
    key = await create(world)
    browser = world.browser()
    socket = await browser.session.ws_connect(
        browser.url("/ws").replace("http", "ws", 1), headers={"X-API-Key": key}
    )
    await socket.send_str("here")
    assert (await socket.receive(timeout=10)).data == "here"
    assert (await world.admin("DELETE", f"/keys/{id_of(key)}")).status == 200
    message = await socket.receive(timeout=10)
    assert message.data == 1008
    assert [each["reason"] for each in world.audit("stream_ended")] == ["revoked"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "short"},
        {"id": "A" * 16},
        {"id": 7},
        {"sha256": "ab"},
        {"sha256": None},
        {"owner": ""},
        {"owner": "a\nb"},
        {"owner": "x" * 256},
        {"scopes": "deploy"},
        {"scopes": ["two words"]},
        {"scopes": [7]},
        {"scopes": ["x"] * 101},
        {"expires": 0},
        {"expires": True},
        {"expires": "2199-01-01"},
        {"expires": 1e300},
        {"expires": float("inf")},
        {"more": 1},
    ],
)
async def test_garbage_makes_no_key(world: World, change: dict):
    """[11.8] Each member is judged; what is refused leaves nothing behind."""
    body = json.dumps(told(new_key(), world, **change))
    page = await world.admin("POST", "/keys", data=body)
    assert page.status == 400, page.text
    assert json.loads((await world.admin("GET", "/keys")).text)["keys"] == []


async def test_what_the_listener_refuses(world: World):
    """[11.8] Without the token nothing; no id twice, no key that is not there, no more than the paths."""
    key = await create(world)
    body = told(key, world)
    assert (await world.admin("POST", "/keys", json=body)).status == 409
    for method, path in (("GET", "/keys"), ("POST", "/keys"), ("DELETE", f"/keys/{id_of(key)}")):
        for token in (None, "wrong"):
            assert (await world.admin(method, path, token=token)).status in (401, 403)
    assert (await world.admin("DELETE", f"/keys/{id_of(new_key())}")).status == 404
    for path, status in (("/keys/x", 404), ("/keys/", 404), ("/keys", 405)):
        assert (await world.admin("DELETE", path)).status == status
    assert (await world.admin("POST", "/keys/x", json=body)).status == 405
    assert (await world.admin("POST", "/revoke", json={"key": "x"})).status == 400
    assert (await world.admin("POST", "/revoke", json={"key": id_of(key), "provider": "demo"})).status == 400
    world.gateway.reload(Settings.model_validate(world.config() | {"api_keys": None, "routes": ROUTES}))
    assert (await world.admin("GET", "/keys")).status == 409
    assert await fetch(world, "/x", key) == (401, "credentials_missing")


ROUTES = [{"path": "/", "upstream": "app", "access": "required"}]


async def command(world: World, tmp_path, *words: str) -> tuple[int, str, str]:
    config = tmp_path / "gateway.yaml"
    told = world.config()
    told["admin"] = {"listen": f"127.0.0.1:{world.gateway.admin_port}", "token": ADMIN_TOKEN}
    told["session"] = told["session"] | {"rotation_grace": "1m"}
    config.write_text(yaml.safe_dump(told))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "keys", "api", *words, "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_the_commands(world: World, tmp_path):
    """[11.8] ``gateway keys api create``, ``list`` and ``revoke``, as an operator types them."""
    code, output, errors = await command(
        world, tmp_path, "create", "--owner", "ci runner", "--scope", "deploy", "--expires", "30d"
    )
    assert code == 0, errors
    key = output.strip()
    assert key not in errors
    assert await fetch(world, "/deploy/x", key) == (200, "")
    await world.gateway.api_keys.drain()
    code, output, _ = await command(world, tmp_path, "list", "--owner", "ci runner")
    (line,) = output.splitlines()
    assert line.split()[0] == id_of(key)
    assert line.endswith("store  deploy  ci runner")
    assert key not in output
    assert (await command(world, tmp_path, "list", "--owner", "nobody"))[:2] == (0, "")
    code, output, errors = await command(world, tmp_path, "revoke", id_of(key), "--reason", "it leaked")
    assert (code, output) == (0, f"revoked: {id_of(key)}\n")
    assert await fetch(world, "/deploy/x", key) == (401, "revoked")
    assert world.audit("revocation")[-1]["reason"] == "it leaked"
    assert (await command(world, tmp_path, "revoke", "nonsense"))[0] == 1
    assert (await command(world, tmp_path, "create", "--owner", "x", "--expires", "yesterday"))[0] == 1


async def test_the_command_prints_what_to_write(world: World, tmp_path):
    """[11.8] ``--configuration``: the key once, and an entry that holds its hash and lets it in."""
    code, output, errors = await command(
        world, tmp_path, "create", "--configuration", "--owner", 'a "b"', "--scope", "deploy"
    )
    assert code == 0, errors
    key, _, section = output.partition("\n")
    assert key not in section
    world.gateway.reload(Settings.model_validate(world.config() | {"api_keys": yaml.safe_load(section)}))
    assert await fetch(world, "/deploy/x", key) == (200, "")
    assert world.upstream.last().headers["X-Forwarded-User"] == 'a "b"'


async def test_several_workers_as_processes():
    """R44 [11.8]: made through the supervisor, taken by each worker, refused by each once revoked."""
    async with Fleet(2, api_keys={}, routes=[ROUTES[0] | {"api_keys": True}]) as fleet:
        code, output = await fleet.command("keys", "api", "create", "--owner", "ci")
        assert code == 0, output
        key = output.splitlines()[0]

        async def ask(path: str, status: int) -> None:
            """Ask on connections of their own until both workers have answered so."""
            served: set[int] = set()
            for number in range(400):
                page = await fleet.browser().fetch(f"{path}{number}", headers={"X-API-Key": key})
                assert page.status == status
                if number % 20 == 19:
                    served = {each["worker"] for each in fleet.events("request") if path in each["path"]}
                if len(served) == 2:
                    return
                if number > 40:
                    await asyncio.sleep(0.02)
            assert len(served) == 2

        await ask("/before-", 200)
        code, output = await fleet.command("keys", "api", "revoke", id_of(key))
        assert (code, output.strip()) == (0, f"revoked: {id_of(key)}")
        await ask("/after-", 401)
        code, output = await fleet.command("keys", "api", "list", "--json")
        assert json.loads(output)["revoked"]


@pytest.mark.settings(SETTINGS | {"session": {"mode": "redis", "rotation_grace": "60s"}})
async def test_where_the_store_keeps_the_sessions(world: World):
    """R44 [11.8]: the same in the other mode, beside sessions."""
    await world.browser().login("/")
    await test_a_revoked_key_is_refused_at_once_everywhere(world)


async def test_a_key_that_moves_into_the_configuration_is_listed_once(world: World):
    """[11.8] It goes on, as the configuration has it; pages hold each key once."""
    keys = [await create(world, owner=f"owner-{number}") for number in range(3)]
    digest = hashlib.sha256(keys[0].encode()).hexdigest()
    moved = {id_of(keys[0]): {"sha256": digest, "owner": "moved", "expires": "2199-01-01"}}
    world.gateway.reload(Settings.model_validate(world.config() | {"api_keys": {"keys": moved}}))
    found: list[dict] = []
    cursor: int | None = 0
    while cursor is not None:
        page, cursor = await world.gateway.api_keys.page(cursor, 2)
        found += [each.to_json() for each in page]
    assert sorted(each["owner"] for each in found) == ["moved", "owner-1", "owner-2"]
    assert await fetch(world, "/x", keys[0]) == (200, "")
    assert world.upstream.last().headers["X-Forwarded-User"] == "moved"


@pytest.mark.settings(
    SETTINGS
    | {
        "upstreams": {"app": {"assertion": {}}},
        "routes": [
            {
                "path": "/basic/",
                "upstream": "app",
                "access": "required",
                "api_keys": True,
                "authorization": {"basic": {"username": "sub", "password": "x"}},
            },
            {
                "path": "/own/",
                "upstream": "app",
                "access": "required",
                "api_keys": True,
                "authorization": "access_token",
            },
        ],
    }
)
async def test_what_else_upstreams_are_told_of_a_key(world: World):
    """[11.8, 11.9] It is signed for and made Basic credentials of, as anybody; and it is no access token."""
    key = await create(world)
    assert await fetch(world, "/basic/x", Authorization=f"Bearer {key}") == (200, "")
    sent = world.upstream.last().headers
    assert sent["Authorization"] == "Basic " + base64.b64encode(b"ci:x").decode()
    claims = jwt.decode(sent["X-Gateway-Assertion"], options={"verify_signature": False})
    assert claims["sub"] == "ci"
    assert "urn:token-gateway:api-keys" in json.dumps(claims)
    assert key not in json.dumps(claims)
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        page = await world.browser().fetch("/own/x", headers=headers)
        assert (page.status, json.loads(page.text)["reason"]) == (401, "access_token_missing")


async def test_a_route_may_use_the_name_for_its_upstreams_own_secret(world: World):
    """[11.8, 11.9] The upstream gets what the route sets, and nothing that a client sends under this name."""
    routes = [{**ROUTES[0], "api_keys": True, "request_headers": {"X-API-Key": "of the upstream"}}]
    world.gateway.reload(Settings.model_validate(world.config() | {"routes": routes}))
    key = await create(world)
    assert await fetch(world, "/x", key) == (200, "")
    assert world.upstream.last().headers.getall("X-API-Key") == ["of the upstream"]
