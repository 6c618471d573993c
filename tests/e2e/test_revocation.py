"""Revocation: by CLI, by the admin listener, judged on the very next request."""

import asyncio
import json
import sys

import pytest

from tests.support.world import ADMIN_TOKEN, World

pytestmark = pytest.mark.asyncio


async def revoke(world: World, **entry):
    page = await world.admin("POST", "/revoke", json=entry)
    return page.status, json.loads(page.text)


async def test_r44_a_revoked_subject_is_refused_on_the_next_request(world: World):
    """R44: alice is refused at once, with session and bearer token; bob is not; a new login works again."""
    alice, bob = world.browser(), world.browser()
    await alice.login("/", "alice")
    await bob.login("/", "bob")
    token = world.provider.mint("alice", scope="api")
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 200
    status, answer = await revoke(world, sub="alice")
    assert status == 200
    assert answer["missing"] == []
    page = await alice.clone().fetch("/x")
    assert page.status == 401
    assert "revoked" in page.text
    page = await alice.get("/x", follow=False)
    assert page.status == 401
    assert "text/html" in page.headers["Content-Type"]
    assert (await world.browser().fetch("/api/x", headers=bearer)).status == 401
    assert (await bob.fetch("/x")).status == 200
    world.clock.advance(2)
    assert (await alice.login("/", "alice")).status == 200
    assert (await alice.fetch("/x")).status == 200


async def test_revoked_before_a_refresh_stays_revoked(world: World):
    """A refresh never brings the revoked user back: judged by the login time, before the token call."""
    browser = world.browser()
    await browser.login()
    await revoke(world, sub="alice")
    world.clock.advance(61)
    assert (await browser.fetch("/x")).status == 401
    assert world.provider.counts["token:refresh_token"] == 0


async def test_revoked_by_jti(world: World):
    """One bearer token is named by its jti; the next token of the same person is good."""
    first, second = (world.provider.mint("alice", scope="api", jti=name) for name in ("one", "two"))
    await revoke(world, jti="one")
    for token, status in ((first, 401), (second, 200)):
        page = await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == status


async def test_revoked_by_sid(world: World):
    """A provider's session id ends what it opened here."""
    browser = world.browser()
    await browser.login()
    token = json.loads((await browser.fetch("/.gateway/userinfo")).text)
    assert token["sid"]
    await revoke(world, sid=token["sid"])
    assert (await browser.fetch("/x")).status == 401


async def test_everybody_is_logged_out(world: World):
    """R44: ``all`` ends whatever was issued before."""
    browser = world.browser()
    await browser.login()
    await revoke(world, all=True)
    assert (await browser.fetch("/x")).status == 401


async def test_a_second_gateway_hears_of_it(world: World):
    """The revocation is pushed: another gateway on the same store has acknowledged when the call returns."""
    from tests.support.ports import free_port

    data = world.config()
    port = free_port()
    data["listen"] = f"127.0.0.1:{port}"
    await world.start_gateway(type(world.settings).model_validate(data))
    token = world.provider.mint("alice", scope="api")
    url = f"http://127.0.0.1:{port}/api/x"
    headers = {"Host": f"localhost:{world.public_port}", "Authorization": f"Bearer {token}"}
    assert (await world.browser().fetch(url, headers=headers)).status == 200
    status, answer = await revoke(world, sub="alice")
    assert status == 200
    assert len(answer["acknowledged"]) == 2
    assert (await world.browser().fetch(url, headers=headers)).status == 401


async def test_the_command(world: World, tmp_path):
    """``gateway revoke --sub`` as an operator types it."""
    import yaml

    config = tmp_path / "gateway.yaml"
    config.write_text(
        yaml.safe_dump(
            world.config()
            # the short grace of these tests is refused in a file
            | {"session": {}}
            | {"admin": {"listen": f"127.0.0.1:{world.gateway.admin_port}", "token": ADMIN_TOKEN}}
        )
    )
    browser = world.browser()
    await browser.login()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "revoke",
        "--config",
        str(config),
        "--sub",
        "alice",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    assert ADMIN_TOKEN.encode() not in output
    assert (await browser.fetch("/x")).status == 401


@pytest.mark.parametrize("token", [None, "wrong", "", ADMIN_TOKEN + "x"])
async def test_revoking_needs_the_token(world: World, token):
    """Every change needs the admin token."""
    page = await world.admin("POST", "/revoke", token=token, json={"sub": "alice"})
    assert page.status == 401
    assert len(world.gateway.denylist) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"sub":""}',
        b'{"sub":1}',
        b'{"nope":"x"}',
        b'{"sub":"a","jti":"b"}',
        b"\xff",
        b"[" * 10000,
    ],
)
async def test_garbage_revokes_nothing(world: World, body: bytes):
    """Anything but one well-formed entry is 400 with a reason, and the list stays as it was."""
    page = await world.admin("POST", "/revoke", data=body)
    assert page.status == 400
    assert len(world.gateway.denylist) == 0


async def test_r61_a_stale_replica_refuses_or_goes_on_by_policy(world: World):
    """R61: with the replica older than max_staleness, ``when_stale: refuse`` is 503; nothing is cleared."""
    browser = world.browser()
    await browser.login()
    await world.gateway.revocations.close()
    world.clock.jump(11)
    page = await browser.fetch("/x")
    assert page.status == 503
    assert "denylist_stale" in page.text
    assert not page.set_cookies
    assert (await browser.fetch("/public/x")).status == 200


@pytest.mark.settings({"denylist": {"when_stale": "allow"}})
async def test_r61_allow_when_stale(world: World):
    """R61: an operator may choose to go on."""
    browser = world.browser()
    await browser.login()
    await world.gateway.revocations.close()
    world.clock.jump(11)
    assert (await browser.fetch("/x")).status == 200
