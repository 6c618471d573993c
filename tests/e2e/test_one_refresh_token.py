"""A provider that gives a person the same refresh token at each login, and never rotates it."""

import json
from typing import Any

import pytest

from gateway.demo.grants import Family
from gateway.demo.provider import DemoProvider
from tests.support.world import Browser, World

pytestmark = pytest.mark.asyncio
TOKEN = "the-one-refresh-token"


class OneToken(DemoProvider):
    """Issues one refresh token for ever."""

    def issue(self, family: Family, **more: Any) -> dict[str, Any]:
        """Return a token response with the one refresh token."""
        answer = super().issue(family, **more)
        self.grants._refresh_tokens[TOKEN] = family
        family.current = answer["refresh_token"] = TOKEN
        return answer


class OneTokenWorld(World):
    """A world with such a provider."""

    provider_class = OneToken


def session_of(world: World, browser: Browser) -> tuple[str, int]:
    """Return the id and the generation that the browser's session cookie has."""
    sealed = browser.cookies()[f"gateway-{world.public_port}-session"]
    fields = json.loads(world.gateway.runtime.ring.open(f"session {world.base}", sealed) or b"")
    return fields["id"], fields["g"]


async def test_two_browsers_stay_two_sessions(valkey_url, tmp_path):
    """[1.16]: each is renewed for itself; ending the one ends nothing of the other."""
    async with OneTokenWorld(valkey_url, tmp_path) as world:
        browsers = [world.browser(), world.browser()]
        for browser in browsers:
            await browser.login()
        before = [session_of(world, browser)[0] for browser in browsers]
        assert before[0] != before[1]
        for generation in (1, 2):
            world.clock.advance(61)
            for browser, session_id in zip(browsers, before, strict=True):
                assert (await browser.fetch("/x")).status == 200
                assert (await browser.fetch("/confirms")).status == 200
                assert session_of(world, browser) == (session_id, generation)
        assert world.provider.counts["token:refresh_token"] == 4
        assert {event["session"] for event in world.audit("refresh")} == set(before)
        assert not world.audit("reuse_detected")
