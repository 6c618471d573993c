"""What a running gateway remembers of people: swept by itself, and gone with a configuration given up."""

import asyncio
import base64

from gateway.app import forgetting
from gateway.config.settings.root import Settings
from tests.support.held_facts import is_held
from tests.support.world import SECRET_KEY, World

OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()


async def test_whoever_is_over_is_swept_out_of_a_gateway_that_nobody_asks(valkey_url, tmp_path, monkeypatch):
    """[10.hold.3]: a logged-in browser and a client with a token, neither of which ever comes again."""
    monkeypatch.setattr(forgetting, "INTERVAL", 0.05)
    async with World(valkey_url, tmp_path) as world:
        browser, knowledge = world.browser(), world.gateway.pipeline.knowledge
        await browser.login()
        token = world.provider.mint("bob")
        for _ in range(3):
            assert (await browser.fetch("/")).status == 200
            client = world.browser()
            assert (await client.fetch("/", headers={"Authorization": f"Bearer {token}"})).status == 200
        sealed = next(value for name, value in browser.cookies().items() if name.endswith("session"))
        await asyncio.sleep(0.2)
        assert is_held(knowledge, sealed[-60:])
        assert is_held(knowledge, token)
        world.clock.advance(400 * 86_400)
        async with asyncio.timeout(20):
            while is_held(knowledge, sealed[-60:], token, "alice", "bob"):  # noqa: ASYNC110 - it watches what announces nothing
                await asyncio.sleep(0.02)


async def test_what_a_key_given_up_has_opened_is_not_remembered(valkey_url, tmp_path):
    """R45 [10.hold.3]: a reload that fails at another worker leaves nobody in whom only its key let in."""
    async with World(valkey_url, tmp_path) as world:
        gateway = world.gateway
        browser = world.browser()
        await browser.login()
        prepared = gateway.prepare(
            Settings.model_validate({**world.config(), "secret_keys": [OTHER_KEY, SECRET_KEY]})
        )
        runtime = gateway.pipeline.knowledge.runtime
        site = next(iter(runtime.sites.values()))
        (name,) = (each for each in browser.cookies() if each.endswith("session"))
        payload = runtime.ring.open(site.purpose("session"), browser.cookies()[name])
        sealed = prepared.runtime.ring.seal(site.purpose("session"), payload, bytes(12))
        headers = {"Cookie": f"{name}={sealed}"}
        client = world.browser()
        for _ in range(3):
            assert (await client.fetch("/", headers=headers)).status == 200
        gateway.abandon()
        assert (await client.fetch("/", headers=headers)).status == 401
