"""UserInfo asked about bearer tokens: it fills what a verified token lacks, and changes nothing else."""

import asyncio
import json

import pytest

from gateway.demo.faults import Canned
from tests.support.world import World

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def filled(valkey_url, tmp_path):
    """A world that asks UserInfo about tokens; claims are mapped as well."""
    more = {"token_userinfo": "60s", "claims": {"who": {"template": "{name}/{place}"}}}
    override = {
        "providers": {"demo": more},
        "identity_headers": {
            "X-Forwarded-User": "sub",
            "X-Forwarded-Email": "email",
            "X-Forwarded-Groups": "groups",
            "X-Who": "who",
            "X-Acr": "acr",
        },
        "routes": [
            {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
            {
                "path": "/domain/",
                "upstream": "app",
                "access": "required",
                "require": {"email_domains": ["example.com"]},
            },
            {"path": "/scoped/", "upstream": "app", "access": "required", "require": {"scopes": ["api"]}},
            {"path": "/", "upstream": "app", "access": "required"},
        ],
    }
    async with World(valkey_url, tmp_path, **override) as world:
        yield world


def bare(world, **claims):
    """Return a token of alice that says nothing of her but what is given."""
    nothing = {
        "email": None,
        "email_verified": None,
        "groups": None,
        "name": None,
        "preferred_username": None,
    }
    scope = claims.pop("scope", "openid email profile")
    return {"Authorization": f"Bearer {world.provider.mint('alice', scope, **(nothing | claims))}"}


async def test_what_a_token_lacks_is_filled(filled):
    """R57 [11.4]: once for each token, however many ask at once; the token's own word stands."""
    world = filled
    browser, token = world.browser(), bare(world, place="here")
    pages = await asyncio.gather(*(browser.fetch("/admin/x", headers=token) for _ in range(10)))
    assert {page.status for page in pages} == {200}
    assert world.provider.counts["userinfo"] == 1
    seen = world.upstream.last().headers
    assert (seen["X-Forwarded-Email"], seen["X-Who"]) == ("alice@example.com", "Alice Example/here")
    own = bare(world, groups=["staff"], name="Somebody", place="there")
    assert (await browser.fetch("/admin/x", headers=own)).status == 403
    assert (await browser.fetch("/x", headers=own)).status == 200
    assert world.upstream.last().headers["X-Who"] == "Somebody/there"


async def test_it_is_asked_again_after_a_while(filled):
    """R68 [11.4]: what has been taken away there is gone here then."""
    world = filled
    world.provider.access_lifetime = 600.0
    browser, token = world.browser(), bare(world)
    assert (await browser.fetch("/admin/x", headers=token)).status == 200
    world.provider.accounts["alice"]["groups"] = ["staff"]
    world.clock.advance(59)
    assert (await browser.fetch("/admin/x", headers=token)).status == 200
    world.clock.advance(2)
    assert (await browser.fetch("/admin/x", headers=token)).status == 403
    assert world.provider.counts["userinfo"] == 2


async def test_it_is_asked_about_verified_tokens_alone(filled):
    """R27 [11.4]: strangers cause no call with what they make up."""
    world = filled
    browser = world.browser()
    good = bare(world)["Authorization"]
    for value in (
        good[:-4] + "AAAA",
        "Bearer x.y.z",
        "Bearer opaque",
        "Bearer " + world.provider.mint("alice", audience="x"),
    ):
        assert (await browser.fetch("/x", headers={"Authorization": value})).status == 401
    assert world.provider.counts["userinfo"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        Canned(401, b"{}"),
        Canned(403, b"{}"),
        Canned(
            200, b'{"sub": "bob", "groups": ["admins"], "email": "b@example.com", "email_verified": true}'
        ),
    ],
)
async def test_r30_a_refusal_and_somebody_else_tell_nothing(filled, answer):
    """R30 [11.4]: the caller has what the token says, and no more."""
    world = filled
    world.provider.canned["userinfo"] = answer
    browser, token = world.browser(), bare(world)
    assert (await browser.fetch("/admin/x", headers=token)).status == 403
    assert (await browser.fetch("/x", headers=token)).status == 200
    assert "X-Forwarded-Email" not in world.upstream.last().headers


@pytest.mark.parametrize(
    "answer",
    [Canned(500, b""), Canned(200, b"[]"), Canned(200, b"{}"), Canned(200, b'{"sub": ""}'), Canned(302, b"")],
)
async def test_an_answer_that_is_none_lets_nobody_in(filled, answer):
    """R85 [11.4]: 503 and no guess; it is left alone for a while, and asked again."""
    world = filled
    world.provider.canned["userinfo"] = answer
    browser, token = world.browser(), bare(world)
    for _ in range(3):
        assert (await browser.fetch("/x", headers=token)).status == 503
    assert not world.upstream.seen
    world.provider.canned.clear()
    world.clock.advance(15)
    assert (await browser.fetch("/x", headers=token)).status == 200


async def test_what_userinfo_has_no_word_in(filled):
    """R68 R24 [11.4]: neither scopes nor how somebody authenticated, nor whose address is verified."""
    world = filled
    told = {"acr": "mfa", "scope": "api", "scp": ["api"], "aud": "x", "exp": 1, "iss": "https://evil.example"}
    told |= {"sub": "alice", "email": "alice@example.com", "email_verified": True}
    world.provider.canned["userinfo"] = Canned(200, json.dumps(told).encode())
    browser = world.browser()
    token = bare(world, scope="openid")
    assert (await browser.fetch("/scoped/x", headers=token)).status == 403
    assert (await browser.fetch("/x", headers=token)).status == 200
    assert "X-Acr" not in world.upstream.last().headers
    # the token's address is not the one that UserInfo calls verified
    other = bare(world, email="alice@evil.com")
    assert (await browser.fetch("/domain/x", headers=bare(world))).status == 200
    assert (await browser.fetch("/domain/x", headers=other)).status == 403
    spoofed = bare(world, email="mallory@example.com")
    assert (await browser.fetch("/domain/x", headers=spoofed)).status == 403


async def test_revoked_and_rotated_meanwhile(filled):
    """R27 R43 [11.4]: what was told is of no use without the token's key, nor against the denylist."""
    world = filled
    browser, token = world.browser(), bare(world)
    assert (await browser.fetch("/x", headers=token)).status == 200
    answer = await world.admin("POST", "/revoke", json={"provider": "demo", "sub": "alice"})
    assert answer.status == 200
    page = await browser.fetch("/x", headers=token)
    assert (page.status, "revoked" in page.text) == (401, True)


async def test_by_default_nobody_is_asked(valkey_url, tmp_path):
    """[11.4]: a token says what it says."""
    async with World(valkey_url, tmp_path) as world:
        assert (await world.browser().fetch("/admin/x", headers=bare(world))).status == 403
        assert world.provider.counts["userinfo"] == 0
