"""A policy added by the book, a function and a line, refuses on a warm gateway as on a cold one."""

from collections import Counter

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

# what comes again is remembered
WARM = 40
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


def by_the_method(_settings: RequireSettings, _groups: str) -> Check | None:
    """Let nobody delete anything."""

    def check(_identity: Identity, request: Request, _now: float) -> Reason | None:
        return Reason.CLAIM_MISMATCH if request.method == b"DELETE" else None

    return check


class Asked:
    """How often a policy was asked about whom, that reads the identity alone and is declared so."""

    about: Counter[str] = Counter()

    @staticmethod
    def policy(_settings: RequireSettings, _groups: str) -> Check | None:
        """Refuse bob."""

        def check(identity: Identity, _request: Request, _now: float) -> Reason | None:
            Asked.about[identity.subject] += 1
            return Reason.CLAIM_MISMATCH if identity.subject == "bob" else None

        return check


def by_a_key(context: Context) -> BearerToken | None:
    """A credential source of its own field."""
    keys = [value for name, value in context.request.headers if name.lower() == b"x-key"]
    return BearerToken(keys[0].decode()) if keys else None


class Caller:
    """Somebody who asks as a script does: with a session, with a bearer token, or with a key of one's own."""

    def __init__(self, browser: Browser, **headers: str) -> None:
        self.browser = browser
        self.headers = headers

    async def ask(self, path: str, badge: str = "blue", method: str = "GET") -> int:
        """Ask for a page, with a badge; return the status."""
        # browsers tell with what is not safe from where it comes
        own = {"X-Badge": badge, "Sec-Fetch-Site": "same-origin", **self.headers}
        return (await self.browser.fetch(path, method=method, headers=own)).status


async def callers(world: World, user: str = "alice") -> list[Caller]:
    """Return somebody in each of the three ways."""
    browser, token = world.browser(), world.provider.mint(user, groups=["admins"])
    await browser.login(user=user)
    return [
        Caller(browser),
        Caller(world.browser(), Authorization=f"Bearer {token}"),
        Caller(world.browser(), **{"X-Key": token}),
    ]


async def warmed(world: World, user: str = "alice") -> list[Caller]:
    """Return callers that have asked often enough for everything to be remembered that ever is."""
    found = await callers(world, user)
    for caller in found:
        for number in range(WARM):
            assert await caller.ask(f"/guarded/{number % 4}/{number % 8}") == 200
    return found


@pytest.mark.parametrize("policy", [by_the_clock, by_a_field, by_the_path, by_the_method])
async def test_a_new_policy_is_asked_each_time(valkey_url, tmp_path, monkeypatch, policy):
    """[1.31] [10.hold.2]: it is asked of sessions, of tokens, and of what a new source finds."""
    monkeypatch.setitem(policies.POLICIES, "added", policy)
    monkeypatch.setattr(credentials, "CREDENTIAL_SOURCES", (*credentials.CREDENTIAL_SOURCES, by_a_key))
    monkeypatch.setattr(Office, "closes", float("inf"))
    async with World(valkey_url, tmp_path, routes=ROUTES) as world:
        for caller in await warmed(world):
            Office.closes = float("inf")
            if policy is by_the_clock:
                assert await caller.ask("/guarded/1/1") == 200
                Office.closes = world.clock()
                assert await caller.ask("/guarded/1/1") == 403
                assert await caller.ask("/guarded/1/1") == 403
            elif policy is by_a_field:
                for badge, status in (
                    ("blue", 200),
                    ("red", 403),
                    ("blue", 200),
                    ("green", 403),
                    ("red", 403),
                ):
                    assert await caller.ask("/guarded/1/1", badge) == status
            elif policy is by_the_path:
                for path, status in (("1/1", 200), ("1/closed", 403), ("1/2", 200), ("2/closed", 403)):
                    assert await caller.ask(f"/guarded/{path}") == status
            else:
                for method, status in (("GET", 200), ("DELETE", 403), ("POST", 200), ("DELETE", 403)):
                    assert await caller.ask("/guarded/1/1", method=method) == status


async def test_a_new_policy_of_the_identity_is_asked_about_everybody(valkey_url, tmp_path, monkeypatch):
    """[10.hold.2]: once about whoever passes, each time about whoever does not."""
    monkeypatch.setitem(policies.POLICIES, "added", policies.of_identity(Asked.policy))
    monkeypatch.setattr(credentials, "CREDENTIAL_SOURCES", (*credentials.CREDENTIAL_SOURCES, by_a_key))
    routes = [{**ROUTES[0], "require": {"methods": ["GET"]}}, ROUTES[1]]
    async with World(valkey_url, tmp_path, routes=routes) as world:
        alice = await warmed(world)
        # a token that another source has found is verified each time, so whom it names is somebody anew
        assert Asked.about["alice"] <= WARM + 8
        for caller in await callers(world, "bob"):
            for number in range(4):
                assert await caller.ask(f"/guarded/{number % 4}/{number}") == 403
        assert Asked.about["bob"] == 12
        for caller in alice:
            assert await caller.ask("/guarded/1/1") == 200


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
