"""Everything around the gateway fails in turn; it explains, keeps every cookie, and recovers by itself."""

import asyncio
import json

import pytest

from tests.support.world import World

pytestmark = pytest.mark.asyncio


async def test_upstream_down_is_502_with_a_request_id(world: World):
    """An upstream that is down: 502, a page for people, JSON for scripts, both with the request id."""
    await world.upstream.close()
    browser = world.browser()
    page = await browser.get("/public/x")
    assert page.status == 502
    assert "text/html" in page.headers["Content-Type"]
    page = await browser.fetch("/public/x")
    document = json.loads(page.text)
    assert document["reason"] == "upstream_unreachable"
    assert any(line.get("request_id") == document["request_id"] for line in world.lines)


@pytest.mark.parametrize("quirk", ["html", "huge", "truncated", "non-json", "5xx"])
@pytest.mark.parametrize("where", ["discovery", "jwks", "token"])
async def test_a_provider_that_answers_nonsense(world: World, where: str, quirk: str):
    """Provider answers of HTML, huge or cut off: 503 with a page, no session; a login once it is well."""
    browser = world.browser()
    if where == "token":
        page = await browser.get("/x")
        world.provider.quirks.add(f"{where}-{quirk}")
        page = await browser.submit(page, username="alice", password="alice")
    else:
        world.provider.quirks.add(f"{where}-{quirk}")
        page = await browser.get("/x")
        if where == "jwks":
            page = await browser.submit(page, username="alice", password="alice")
    assert page.status == 503
    assert page.headers["Retry-After"]
    assert "Traceback" not in page.text
    assert not any("-session=" in line for line in page.set_cookies)
    world.provider.quirks.clear()
    world.clock.advance(61)
    await asyncio.sleep(0.01)
    assert (await world.browser().login()).status == 200


@pytest.mark.parametrize(
    ("quirk", "reason"),
    [
        ("invalid-iss", "token_issuer"),
        ("missing-sub", "token_claims"),
        ("invalid-aud", "token_audience"),
        ("missing-aud", "token_audience"),
        ("missing-iat", "token_claims"),
        ("kid-absent-multiple-jwks", None),
        ("idtoken-sig-none", "token_algorithm"),
        ("invalid-sig-rs256", "token_signature"),
        ("invalid-sig-es256", "token_signature"),
        ("invalid-sig-hs256", "token_algorithm"),
        ("nonce-invalid", "token_nonce"),
        ("invalid-athash", "token_hash"),
    ],
)
async def test_faulty_id_tokens_begin_no_session(world: World, quirk: str, reason: str | None):
    """R9, R18, R21, R22, R25, R26, R27: the OpenID Foundation's faults, each refused with its word."""
    world.provider.quirks.add(quirk)
    browser = world.browser()
    page = await browser.login()
    assert page.status in (400, 401)
    assert "text/html" in page.headers["Content-Type"]
    if reason:
        assert reason in page.text
    assert f"gateway-{world.public_port}-session" not in browser.cookies()
    assert world.audit("login")


@pytest.mark.parametrize(
    "quirk", ["kid-absent-single-jwks", "access-token-typ-jwt", "double-slash-endpoints"]
)
async def test_odd_but_fine_providers(world: World, quirk: str):
    """What real providers do and what the specifications allow is accepted."""
    world.provider.quirks.add(quirk)
    assert (await world.browser().login()).status == 200


@pytest.mark.settings({"providers": {"demo": {"userinfo": True}}})
async def test_r30_userinfo_about_somebody_else(world: World):
    """R30: a UserInfo response with another subject ends the login."""
    browser = world.browser()
    assert (await browser.login()).status == 200
    world.provider.quirks.add("userinfo-invalid-sub")
    page = await world.browser().login()
    assert page.status in (400, 401)


async def test_r8_discovery_of_another_issuer(world: World):
    """R8: a document that names another issuer is refused."""
    world.provider.quirks.add("discovery-issuer-mismatch")
    page = await world.browser().get("/x")
    assert page.status == 503


async def test_signing_keys_rotate_mid_login(world: World):
    """signing-key-rotation-just-before-signing: the new key is fetched, the login succeeds."""
    assert (await world.browser().login()).status == 200
    world.provider.quirks.add("signing-key-rotation-just-before-signing")
    assert (await world.browser().login()).status == 200


async def test_r28_jwks_outage(world: World):
    """R28: stale keys serve through an outage until their bound, then fail closed with 503."""
    token = world.provider.mint("alice", scope="api", lifetime=10 * 86400)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 200
    world.provider.quirks.add("jwks-5xx")
    world.clock.advance(3600)
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 200
    world.clock.advance(86400)
    await asyncio.sleep(1.2)  # the replica's own tick; the clock jumped
    page = await world.browser().fetch("/api/x", headers=headers)
    assert page.status == 503
    world.provider.quirks.clear()
    await world.eventually(lambda: True)
