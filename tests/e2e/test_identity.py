"""What the upstream is told, and what nobody can tell it."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.jose import holds_jwt
from tests.support.world import World

pytestmark = pytest.mark.asyncio

FORGED = {
    "X-Forwarded-User": "root",
    "x-forwarded-user": "root",
    "X_Forwarded_User": "root",
    "X-Forwarded_User": "root",
    "X_FORWARDED_EMAIL": "root@evil.example",
    "X-Forwarded-Groups": "admins",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Uri": "/public/",
    "Forwarded": "for=6.6.6.6",
    "X-Real-IP": "6.6.6.6",
}


async def test_r53_forged_identity_never_reaches_the_upstream(world: World):
    """R53, CVE-2025-64484, CVE-2026-44087: on public, optional and required routes, in every spelling."""
    browser = world.browser()
    await browser.login("/", "bob")
    for path in ("/public/x", "/optional/x", "/x"):
        assert (await browser.fetch(path, headers=FORGED)).status == 200
        seen = world.upstream.last().headers
        flat = {name.lower().replace("_", "-"): value for name, value in seen.items()}
        assert "root" not in str(flat)
        assert "evil" not in str(flat)
        assert "6.6.6.6" not in str(flat)
        if path == "/x":
            assert flat["x-forwarded-user"] == "bob"
        if path == "/public/x":
            assert "x-forwarded-user" not in flat
        assert flat["x-forwarded-for"] == "127.0.0.1"
        assert flat["x-forwarded-proto"] == "http"
        assert flat["x-forwarded-host"] == f"localhost:{world.public_port}"


async def test_r54_own_cookies_stay_here(world: World):
    """R54: the upstream never sees our cookies and cannot set them; the application's own pass."""
    browser = world.browser()
    await browser.login()
    name = f"gateway-{world.public_port}-session"
    world.upstream.headers = [("Set-Cookie", f"{name}=evil; Path=/"), ("Set-Cookie", "app=1; Path=/")]
    cookie = "; ".join([*(f"{k}={v}" for k, v in browser.cookies().items()), "theirs=1"])
    page = await world.browser().fetch("/x", headers={"Cookie": cookie})
    assert page.status == 200
    assert world.upstream.last().headers["Cookie"] == "theirs=1"
    assert page.set_cookies == ["app=1; Path=/"]


async def test_r58_connection_cannot_drop_an_identity_header(world: World):
    """R58, CVE-2024-45410: naming an injected header in Connection does not remove it."""
    browser = world.browser()
    await browser.login()
    page = await browser.fetch(
        "/x", headers={"Connection": "keep-alive, X-Forwarded-User, X-App", "X-App": "1"}
    )
    assert page.status == 200
    seen = world.upstream.last().headers
    assert seen["X-Forwarded-User"] == "alice"
    assert "X-App" not in seen


async def test_authorization_is_stripped_by_default(world: World):
    """A bearer token is the gateway's to judge; the upstream gets the identity instead."""
    token = world.provider.mint("alice", scope="api")
    page = await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
    assert page.status == 200
    seen = world.upstream.last().headers
    assert "Authorization" not in seen
    assert seen["X-Forwarded-User"] == "alice"


async def test_r59_responses_with_our_cookies_are_not_shared_cacheable(world: World):
    """R59: an upstream that says public does not get our cookies into a shared cache."""
    browser = world.browser()
    await browser.login()
    world.upstream.headers = [("Cache-Control", "public, max-age=600, s-maxage=600")]
    page = await browser.fetch("/x")
    assert page.headers["Cache-Control"] == "public, max-age=600, s-maxage=600"
    world.clock.advance(61)
    page = await browser.fetch("/x")
    assert page.set_cookies
    assert "public" not in page.headers["Cache-Control"]
    assert "s-maxage" not in page.headers["Cache-Control"]
    assert "private" in page.headers["Cache-Control"] or "no-store" in page.headers["Cache-Control"]


async def test_bearer_tokens(world: World):
    """R18-R26 at the door: each bad token is 401 invalid_token with its reason, never a 500."""
    provider = world.provider
    good = provider.mint("alice", scope="api")
    cases = {
        good: (200, None),
        provider.mint("alice", scope="other"): (403, "scope_missing"),
        provider.mint("alice", scope="api", audience="other"): (401, "token_audience"),
        provider.mint("alice", scope="api", lifetime=-120): (401, "token_expired"),
        good[:-4] + "AAAA": (401, "token_signature"),
        "x": (401, "token_malformed"),
        "a.b.c": (401, "token_malformed"),
        good + ".x": (401, "token_malformed"),
    }
    for token, (status, reason) in cases.items():
        page = await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == status, reason
        if reason:
            assert json.loads(page.text)["reason"] == reason
            assert page.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await world.browser().fetch("/api/x")).status == 401


async def test_r23_an_id_token_is_no_bearer_token(world: World):
    """R23: what was made for the client is refused at the API."""
    now = int(world.clock())
    token = world.provider.sign(
        {
            "iss": world.provider.issuer,
            "sub": "alice",
            "aud": "demo",
            "exp": now + 60,
            "iat": now,
            "nonce": "n",
            "scope": "api",
        }
    )
    page = await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
    assert page.status == 401


async def test_r27_a_rotated_key_is_found_and_random_kids_cost_nothing(world: World):
    """R27: rotation works at once; forty random kids cause at most one fetch."""
    headers = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 200
    world.provider.rotate_keys()
    headers = {"Authorization": f"Bearer {world.provider.mint('alice', scope='api')}"}
    assert (await world.browser().fetch("/api/x", headers=headers)).status == 200
    before = world.provider.counts["jwks"]
    for index in range(40):
        token = world.provider.sign({"iss": world.provider.issuer, "sub": "a"}, header={"kid": f"k{index}"})
        page = await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == 401
    assert world.provider.counts["jwks"] - before <= 1


async def test_two_credentials_that_disagree(world: World):
    """A bearer token of bob with a session of alice is a refusal; of the same person it is fine."""
    browser = world.browser()
    await browser.login("/", "alice")
    for user, status in (("bob", 400), ("alice", 200)):
        token = world.provider.mint(user, scope="api")
        page = await browser.fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
        assert page.status == status


@pytest.mark.parametrize(
    "path",
    [
        "/public/%2e%2e/x",
        "/public/../x",
        "/public//x",
        "/public/%2fx",
        "/public/;/x",
        "/public/%5cx",
        "/public/%252e%252e/x",
        "/public/%00",
    ],
)
async def test_r56_ambiguous_paths_are_400(world: World, path: str):
    """R56: what an upstream might read otherwise is refused, not resolved."""
    page = await world.browser().fetch(path)
    assert page.status == 400
    assert not world.upstream.seen


async def test_cve_2025_54576_the_query_is_no_path(world: World):
    """CVE-2025-54576: /private?x=/public/ is private."""
    assert (await world.browser().fetch("/private?x=/public/")).status == 401


async def test_cve_2026_34457_a_user_agent_is_no_credential(world: World):
    """CVE-2026-34457: a health checker's User-Agent opens nothing."""
    for agent in ("GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"):
        assert (await world.browser().fetch("/x", headers={"User-Agent": agent})).status == 401


async def test_r16_nothing_secret_is_logged(world: World):
    """R16: after login, refresh, refusal and revocation no secret is in any log line or metric."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    await browser.fetch("/x?secret=query-secret")
    token = world.provider.mint("alice", scope="api")
    await browser.fetch("/api/x", headers={"Authorization": f"Bearer {token}"})
    await world.browser().fetch("/api/x", headers={"Authorization": f"Bearer {token[:-3]}AAA"})
    await world.admin("POST", "/revoke", json={"sub": "alice"})
    await browser.fetch("/x")
    logged = json.dumps(world.lines) + (await world.admin("GET", "/metrics")).text
    assert world.lines
    assert holds_jwt(token)
    assert not holds_jwt(logged)
    for secret in (
        token,
        token[:40],
        "query-secret",
        "demo-secret",
        "admin-token-of",
        *browser.cookies().values(),
    ):
        assert secret not in logged


async def test_metrics_tell_each_of_these(world: World):
    """Requests by route, decision and reason; refreshes by outcome; denylist and JWKS gauges."""
    browser = world.browser()
    await browser.login()
    world.clock.advance(61)
    await browser.fetch("/x")
    await world.admin("POST", "/revoke", json={"sub": "alice"})
    await browser.fetch("/x")
    text = (await world.admin("GET", "/metrics", token=None)).text
    for part in (
        'reason="authenticated"',
        'reason="revoked"',
        'decision="forward"',
        "gateway_refreshes_total",
        "gateway_denylist",
        "gateway_issuer",
    ):
        assert part in text
    assert (await world.browser().fetch("/metrics")).status == 401


@pytest.mark.settings(
    {
        "trusted_proxies": ["127.0.0.1"],
        "forwarding": {"address": "none"},
        "client_headers": {"keep": ["Remote-Name"], "drop": ["X-Corp-*"]},
        "identity_encoding": "utf-8",
        "identity_headers": {"X-Forwarded-Email": "email", "X-Name": "name"},
    }
)
async def test_r80_r82_what_upstreams_are_told(world: World):
    """R80, R82 [1.18] [1.21] [2.24]: no unverified address, no other product's name but a kept one."""
    world.provider.accounts["alice"] |= {"email_verified": False, "name": "José 100%"}
    for user, email in (("alice", None), ("bob", "bob@example.com")):
        browser = world.browser()
        assert (await browser.login(user=user)).status == 200
        sent = {
            "Remote-Email": "root@x",
            "Remote-Name": "kept",
            "X_Authentik_Username": "root",
            "x-corp-a": "root",
        }
        for _ in range(3):
            assert (await browser.fetch("/x", headers=sent)).status == 200
            seen = world.upstream.last().headers
            assert seen.get("X-Forwarded-Email") == email
            assert "root" not in str(seen)
            assert seen["Remote-Name"] == "kept"
    alice = world.browser()
    await alice.login()
    raw = dict(world.upstream.last().raw_headers)
    assert raw[b"X-Name"] == "José 100%25".encode()


@pytest.mark.settings(
    {"routes": [{"path": "/", "upstream": "app", "access": "required", "preflight": "forward"}]}
)
async def test_r65_no_preflight_carries_a_body(world: World):
    """R65 [1.3]: what is anonymous and could do more than ask reaches no upstream."""
    browser = world.browser()
    asked = {"Origin": "https://spa.example.com", "Access-Control-Request-Method": "DELETE"}
    assert (await browser.fetch("/x", method="OPTIONS", headers=asked)).status == 200
    assert len(world.upstream.seen) == 1
    forged = asked | {"X-HTTP-Method-Override": "DELETE"}
    assert (await browser.fetch("/x", method="OPTIONS", headers=forged)).status == 401
    assert (await browser.fetch("/x", method="OPTIONS", headers=asked, data=b"x")).status == 401
    assert (await browser.fetch("/x", method="OPTIONS", headers=asked, data=aiter_of(b"x"))).status == 401
    upgrade = asked | {"Connection": "Upgrade", "Upgrade": "tcp"}
    assert (await browser.fetch("/x", method="OPTIONS", headers=upgrade)).status == 401
    assert len(world.upstream.seen) == 1


async def aiter_of(data: bytes) -> AsyncIterator[bytes]:
    """Yield some bytes, so that nobody knows how many they are."""
    yield data
