"""A policy added by the book, a function and a line, refuses on a warm gateway as on a cold one."""

import pytest

from gateway.config.settings.routes import RequireSettings
from gateway.core.access import credentials
from gateway.core.access.credentials import BearerToken
from gateway.core.decision.context import Context
from gateway.core.headers.request import Request
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules import policies
from gateway.core.rules.policies import Check
from tests.support.world import Browser, World

# heads of one kind become a pattern after 32 of them, and plans are kept for what comes again
WARM = 80
ROUTES = [
    {"path": "/guarded/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]


class Office:
    """What the policies of these tests look at beside the request."""

    closes = float("inf")


def by_the_clock(_settings: RequireSettings, _groups: str) -> Check | None:
    """Refuse after a moment."""

    def check(_identity: Identity, _request: Request, now: float) -> Reason | None:
        return Reason.CLAIM_MISMATCH if now >= Office.closes else None

    return check


def by_a_field(_settings: RequireSettings, _groups: str) -> Check | None:
    """Refuse who shows another badge than the blue one."""

    def check(_identity: Identity, request: Request, _now: float) -> Reason | None:
        badges = [value for name, value in request.headers if name.lower() == b"x-badge"]
        return None if badges == [b"blue"] else Reason.CLAIM_MISMATCH

    return check


def by_the_path(_settings: RequireSettings, _groups: str) -> Check | None:
    """Refuse one page of many."""

    def check(_identity: Identity, request: Request, _now: float) -> Reason | None:
        return Reason.CLAIM_MISMATCH if request.target.endswith(b"/closed") else None

    return check


async def ask(browser: Browser, path: str, badge: str = "blue") -> int:
    """Ask for a page as a script does, with a badge."""
    return (await browser.fetch(path, headers={"X-Badge": badge})).status


async def warmed(world: World, user: str = "alice") -> Browser:
    """Return a browser that has asked often enough for everything to be remembered that ever is."""
    browser = world.browser()
    await browser.login(user=user)
    for number in range(WARM):
        assert await ask(browser, f"/guarded/{number % 4}/{number % 8}") == 200
    return browser


@pytest.mark.parametrize("policy", [by_the_clock, by_a_field, by_the_path])
async def test_a_new_policy_is_asked_each_time(valkey_url, tmp_path, monkeypatch, policy):
    """[1.31] Whatever it reads (the clock, a field, the path), it is asked: nothing of it is remembered."""
    monkeypatch.setitem(policies.POLICIES, "added", policy)
    monkeypatch.setattr(Office, "closes", float("inf"))
    async with World(valkey_url, tmp_path, routes=ROUTES) as world:
        browser = await warmed(world)
        if policy is by_the_clock:
            assert await ask(browser, "/guarded/1/1") == 200
            Office.closes = world.clock()
            assert await ask(browser, "/guarded/1/1") == 403
            assert await ask(browser, "/guarded/1/1") == 403
        elif policy is by_a_field:
            for badge, status in (("blue", 200), ("red", 403), ("blue", 200), ("green", 403), ("red", 403)):
                assert await ask(browser, "/guarded/1/1", badge) == status
        else:
            for path, status in (("1/1", 200), ("1/closed", 403), ("1/2", 200), ("2/closed", 403)):
                assert await ask(browser, f"/guarded/{path}") == status


def by_a_key(context: Context) -> BearerToken | None:
    """A credential source of its own field."""
    keys = [value for name, value in context.request.headers if name.lower() == b"x-key"]
    return BearerToken(keys[0].decode()) if keys else None


async def test_a_new_credential_source_is_read_each_time(valkey_url, tmp_path, monkeypatch):
    """[1.31] A source that reads a field of its own: nobody is taken for another."""
    monkeypatch.setattr(credentials, "CREDENTIAL_SOURCES", (*credentials.CREDENTIAL_SOURCES, by_a_key))
    async with World(valkey_url, tmp_path) as world:
        browser = world.browser()
        keys = {user: world.provider.mint(user) for user in ("alice", "bob")}

        async def who(path: str, user: str) -> str:
            page = await browser.fetch(path, headers={"X-Key": keys.get(user, "x"), "Cookie": "theme=dark"})
            return page.text.split()[1] if page.status == 200 else str(page.status)

        for path in ("/optional/", "/"):
            for number in range(WARM):
                assert await who(f"{path}{number % 8}", "alice") == "alice"
            for user, found in (("bob", "bob"), ("mallory", "401"), ("alice", "alice")):
                assert await who(f"{path}3", user) == found
