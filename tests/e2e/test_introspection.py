"""Opaque access tokens: the route's provider is asked, its answers are kept briefly, nobody else is told."""

import asyncio
import json

import pytest

from gateway.config.settings.root import Settings
from gateway.demo.clients import Registration
from gateway.demo.provider import DemoProvider
from tests.support.client_keys import pem
from tests.support.world import CLIENT_SECRET, World, merge

ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public"},
    {"path": "/write/", "upstream": "app", "access": "required", "require": {"scopes": ["write"]}},
    {"path": "/groups/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "reject"},
]
SETTINGS = {
    "providers": {"demo": {"introspection": "json"}},
    "routes": ROUTES,
    "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Email": "email"},
}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(SETTINGS)]


@pytest.fixture(autouse=True)
def hidden(request, world: World):
    """The demo provider gives opaque tokens."""
    world.provider.quirks.add("opaque-access-tokens")


async def fetch(world: World, token: str, path: str = "/x"):
    page = await world.browser().fetch(path, headers={"Authorization": f"Bearer {token}"})
    return page.status, json.loads(page.text)["reason"] if page.status >= 400 else page.text.split()[1]


def asked(world: World) -> int:
    return world.provider.counts["introspection"]


async def test_an_opaque_token_is_asked_about_once(world: World):
    """[11.6] Whose it is and what it may, by the provider's answer, which counts for a minute."""
    token = world.provider.mint("alice", scope="api", lifetime=3600)
    assert "." not in token
    for _ in range(3):
        assert await fetch(world, token) == (200, "alice")
    assert world.upstream.last().headers["X-Forwarded-Email"] == "alice@example.com"
    assert "Authorization" not in world.upstream.last().headers
    assert asked(world) == 1
    world.clock.advance(59)
    assert await fetch(world, token) == (200, "alice")
    assert asked(world) == 1
    world.clock.advance(2)
    assert await fetch(world, token) == (200, "alice")
    assert asked(world) == 2
    assert token not in json.dumps(world.lines)


async def test_many_at_once_make_one_call(world: World):
    """[11.6] A page that asks a hundred times with a new token makes one question of it."""
    token = world.provider.mint("alice")
    world.provider.held["introspection"] = gate = asyncio.Event()
    waiting = [asyncio.create_task(fetch(world, token)) for _ in range(100)]
    await world.eventually(lambda: asked(world))
    gate.set()
    assert set(await asyncio.gather(*waiting)) == {(200, "alice")}
    assert asked(world) == 1


async def test_never_beyond_its_end(world: World):
    """R21 [11.6]: an answer counts until ``exp`` at most, however lately it was given."""
    token = world.provider.mint("alice", lifetime=20)
    assert await fetch(world, token) == (200, "alice")
    world.clock.advance(21)
    assert await fetch(world, token) == (401, "token_inactive")
    assert asked(world) == 2


async def test_what_is_not_active_is_asked_about_again_soon(world: World):
    """[11.6] A refusal is kept for seconds, and by nobody else's token."""
    for _ in range(3):
        assert await fetch(world, "no-such-token") == (401, "token_inactive")
    assert asked(world) == 1
    page = await world.browser().fetch("/x", headers={"Authorization": "Bearer no-such-token"})
    assert 'error="invalid_token"' in page.headers["WWW-Authenticate"]
    world.clock.advance(6)
    assert await fetch(world, "no-such-token") == (401, "token_inactive")
    assert asked(world) == 2


async def test_revoked_at_the_provider(world: World):
    """[11.6] Seen when the answer has aged; before that, by the denylist alone."""
    token = world.provider.mint("alice", jti="one", lifetime=3600)
    assert await fetch(world, token) == (200, "alice")
    world.provider.grants.revoked_jti["one"] = True
    assert await fetch(world, token) == (200, "alice")
    world.clock.advance(61)
    assert await fetch(world, token) == (401, "token_inactive")


@pytest.mark.parametrize("entry", [{"sub": "alice"}, {"jti": "one"}, {"all": True}])
async def test_r44_the_denylist_judges_them_too(world: World, entry: dict):
    """R44 [11.6]: at once, without a question; a token that is issued afterwards is good."""
    token = world.provider.mint("alice", jti="one")
    assert await fetch(world, token) == (200, "alice")
    assert (await world.admin("POST", "/revoke", json=entry)).status == 200
    assert await fetch(world, token) == (401, "revoked")
    assert await fetch(world, token) == (401, "revoked")
    world.clock.advance(40)
    assert await fetch(world, world.provider.mint("alice", jti="two")) == (200, "alice")


async def test_policies_are_asked_each_time(world: World):
    """CVE-2021-32701 [11.6]: what one route found out is no other route's permission."""
    reading, writing = (
        world.provider.mint(who, scope=scope) for who, scope in (("bob", "read"), ("alice", "write"))
    )
    for _ in range(2):
        assert await fetch(world, reading) == (200, "bob")
        assert await fetch(world, reading, "/write/x") == (403, "scope_missing")
        assert await fetch(world, reading, "/groups/x") == (403, "group_missing")
        assert await fetch(world, writing, "/write/x") == (200, "alice")
        assert await fetch(world, writing, "/groups/x") == (200, "alice")
    assert asked(world) == 2


async def test_a_jwt_gets_no_second_opinion(world: World):
    """R18, R23 [11.6]: what is a JWT is judged as one; one that fails is not asked about."""
    world.provider.quirks.clear()
    good = world.provider.mint("alice")
    assert await fetch(world, good) == (200, "alice")
    head, body, signature = good.split(".")
    for token in (
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body}.",
        f"{head}..",
        f"{head}.x.y",
        f"eyJ4.{body}.{signature}",
        world.provider.sign({"sub": "alice"}, {"typ": "at+jwt"}),
        world.provider.sign({"sub": "alice", "iss": world.provider.issuer}, {}, "none"),
    ):
        status, told = await fetch(world, token)
        assert status == 401
        assert told != "token_inactive"
    assert asked(world) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token_type": "refresh_token"}, "token_type"),
        ({"token_type": "DPoP"}, "token_type"),
        ({"token_type": 7}, "token_type"),
        ({"token_use": "refresh_token"}, "token_type"),
        ({"typ": "ID"}, "token_type"),
        ({"cnf": {"jkt": "x"}}, "token_type"),
        ({"events": {}}, "token_type"),
        ({"iss": "https://other.example"}, "token_issuer"),
        ({"iss": ["https://other.example"]}, "token_issuer"),
        ({"aud": "other"}, "token_audience"),
        ({"aud": None}, "token_audience"),
        ({"aud": []}, "token_audience"),
        ({"aud": ...}, "token_audience"),
        ({"sub": ...}, "token_claims"),
        ({"sub": ""}, "token_claims"),
        ({"sub": 7}, "token_claims"),
        ({"exp": "soon"}, "token_claims"),
        ({"exp": None}, "token_claims"),
        ({"exp": 1}, "token_expired"),
        ({"nbf": 9999999999}, "token_not_yet_valid"),
        ({"iat": 9999999999}, "token_not_yet_valid"),
        ({"scope": 7}, "token_claims"),
        ({"jti": ""}, "token_claims"),
        ({"active": False}, "token_inactive"),
    ],
)
async def test_what_an_active_token_must_be(world: World, change: dict, reason: str):
    """R21, R24, R26, R29 [11.6]: ours, a bearer token, somebody's, valid now; null and garbage are not."""

    def alter(found: dict) -> dict:
        return {name: value for name, value in {**found, **change}.items() if value is not ...}

    world.provider.alter["introspection"] = alter
    assert await fetch(world, world.provider.mint("alice")) == (401, reason)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": ...},
        {"exp": ..., "iat": ...},
        {"token_type": ...},
        {"token_type": "bearer"},
        {"token_use": "access_token"},
        {"typ": "Bearer"},
        {"aud": ["x", "demo-api"]},
        {"scope": ["a", "b"]},
        {"scope": ...},
    ],
)
async def test_what_providers_leave_out_and_call_otherwise(world: World, change: dict):
    """[11.6] RFC 7662 asks for ``active`` alone; here ``sub`` and ``aud`` as well."""

    def alter(found: dict) -> dict:
        return {name: value for name, value in {**found, **change}.items() if value is not ...}

    world.provider.alter["introspection"] = alter
    token = world.provider.mint("alice")
    assert await fetch(world, token) == (200, "alice")
    assert await fetch(world, token) == (200, "alice")
    assert asked(world) == 1


@pytest.mark.settings({"providers": {"demo": {"clients_without_aud": ["demo"]}}})
async def test_a_token_without_aud_counts_from_named_clients(world: World):
    """R24 [11.6]: by the same setting as for JWTs; with an ``aud``, that decides."""
    world.gateway.reload(Settings.model_validate(merge(world.config(), SETTINGS)))
    for change, status in (({}, 200), ({"client_id": "other"}, 401), ({"aud": "other"}, 401)):

        def alter(found: dict, change=change) -> dict:
            return {name: value for name, value in found.items() if name != "aud"} | change

        world.provider.alter["introspection"] = alter
        assert (await fetch(world, world.provider.mint("alice")))[0] == status


async def test_refresh_tokens_are_no_access_tokens(world: World):
    """R23 [11.6]: an active refresh token lets nobody in."""
    browser = world.browser()
    await browser.login("/.gateway/login")
    (token,) = world.provider.grants._refresh_tokens
    assert await fetch(world, token) == (401, "token_type")


@pytest.mark.parametrize("mode", ["json", "jwt"])
async def test_both_kinds_of_answers(world: World, mode: str):
    """RFC 9701 [11.6]: asked for as JSON or as a JWT; a signing key that is new is fetched once."""
    world.gateway.reload(Settings.model_validate(merge(world.config(), introspecting(mode))))
    assert await fetch(world, world.provider.mint("alice")) == (200, "alice")
    world.provider.rotate_keys()
    world.provider.quirks.add("opaque-access-tokens")
    assert await fetch(world, world.provider.mint("bob")) == (200, "bob")
    assert await fetch(world, "nonsense") == (401, "token_inactive")


def introspecting(mode: str) -> dict:
    return {"providers": {"demo": {"introspection": mode}}}


UNAVAILABLE = (503, "issuer_unavailable")


@pytest.mark.parametrize(
    ("fault", "mode", "status"),
    [
        *(
            (f"introspection-{shape}", "json", UNAVAILABLE)
            for shape in ("html", "non-json", "5xx", "truncated", "huge")
        ),
        ("introspection-active-text", "json", UNAVAILABLE),
        ("introspection-active-text", "jwt", UNAVAILABLE),
        ("introspection-no-active", "json", UNAVAILABLE),
        ("introspection-429", "json", UNAVAILABLE),
        ("introspection-refuses-client", "json", (503, "issuer_misconfigured")),
        *(
            (f"introspection-{fault}", "jwt", UNAVAILABLE)
            for fault in (
                "ignores-accept",
                "alg-none",
                "wrong-alg",
                "wrong-typ",
                "wrong-iss",
                "wrong-aud",
                "missing-iat",
                "replayed",
                "empty",
            )
        ),
    ],
)
async def test_faults_of_the_endpoint(world: World, fault: str, mode: str, status: tuple):
    """R18, R19, R29 [11.6]: no answer of use lets nobody in, is no verdict on a token, and is not kept."""
    world.gateway.reload(Settings.model_validate(merge(world.config(), introspecting(mode))))
    token = world.provider.mint("alice", lifetime=3600)
    world.provider.quirks.add(fault)
    assert await fetch(world, token) == status
    world.provider.quirks.discard(fault)
    world.clock.advance(61)
    assert await fetch(world, token) == (200, "alice")
    assert token not in json.dumps(world.lines)


async def test_the_provider_away(world: World):
    """R61 [11.6]: what was said holds until it has aged; then nobody gets in, the provider is left alone."""
    known, new = world.provider.mint("alice", lifetime=3600), world.provider.mint("bob", lifetime=3600)
    assert await fetch(world, known) == (200, "alice")
    await world.provider.close()
    assert await fetch(world, known) == (200, "alice")
    page = await world.browser().fetch("/x", headers={"Authorization": f"Bearer {new}"})
    assert (page.status, page.headers["Retry-After"]) == (503, "5")
    calls = dict(world.gateway.providers.stats()["demo"].calls)
    assert await fetch(world, new) == UNAVAILABLE
    assert dict(world.gateway.providers.stats()["demo"].calls) == calls
    world.clock.advance(61)
    assert await fetch(world, known) == UNAVAILABLE
    await world.provider.start()
    world.clock.advance(61)
    assert await fetch(world, known) == (200, "alice")


async def test_calls_for_unknown_tokens_are_bounded(world: World):
    """[11.6] An address that guesses is told 429 and costs no more calls; known tokens go on."""
    known = world.provider.mint("alice", lifetime=3600)
    assert await fetch(world, known) == (200, "alice")
    answers = [await fetch(world, f"guess-{number}") for number in range(70)]
    assert answers[:60] == [(401, "token_inactive")] * 60
    assert answers[-1] == (429, "rate_limited")
    assert asked(world) <= 64
    assert await fetch(world, known) == (200, "alice")
    # also when what was said of it has aged: it is no stranger's
    world.clock.advance(61)
    assert await fetch(world, known) == (200, "alice")
    assert await fetch(world, world.provider.mint("bob")) == (429, "rate_limited")


async def test_a_crowd_of_good_tokens_is_not_limited(world: World):
    """[11.6] However many behind one address: who is known to the provider is no stranger."""
    tokens = [world.provider.mint("alice", scope=str(number)) for number in range(100)]
    assert await asyncio.gather(*(fetch(world, token) for token in tokens)) == [(200, "alice")] * 100


async def test_what_is_kept_is_bounded(world: World):
    """[11.6] In number and in bytes, tokens that are not active apart from the others."""
    endpoint = world.gateway.providers._by_name["demo"].introspection
    world.provider.alter["introspection"] = lambda found: {**found, "padding": "x" * 60_000}
    for number in range(160):
        assert await fetch(world, world.provider.mint("alice", scope=str(number))) == (200, "alice")
    assert endpoint._active._bytes <= 8 << 20
    assert len(endpoint._active) < 160
    identities = [
        found.found.known["demo"].identity
        for found in world.gateway.runtime.rules.request_lines.known.values()
        if found is not None and getattr(found.found, "known", None)
    ]
    assert identities
    assert all("padding" not in each.claims for each in identities)


@pytest.fixture
async def other(world: World):
    """A second provider that the gateway knows."""
    provider = DemoProvider("demo", CLIENT_SECRET, (), "other-api", world.clock)
    provider.quirks.add("opaque-access-tokens")
    await provider.start()
    more = {
        "providers": {
            "other": {
                "issuer": provider.issuer,
                "client_id": "demo",
                "client_secret": CLIENT_SECRET,
                "audiences": ["other-api"],
                "introspection": "json",
            }
        },
        "routes": [
            {"path": "/other/", "upstream": "app", "access": "required", "provider": "other"},
            {"path": "/both/", "upstream": "app", "access": "required"},
            {
                "path": "/chosen/",
                "upstream": "app",
                "access": "required",
                "providers": ["demo", "other"],
                "provider": "other",
            },
            {"path": "/", "upstream": "app", "access": "required", "provider": "demo"},
        ],
    }
    world.gateway.reload(Settings.model_validate(merge(world.config(), more)))
    yield provider
    await provider.close()


async def test_only_the_provider_of_the_route_is_asked(world: World, other: DemoProvider):
    """R70, CVE-2026-33496 [11.6]: nobody else gets to see a token, nor is taken at their word."""
    mine, theirs = world.provider.mint("alice"), other.mint("alice")
    for _ in range(2):
        assert await fetch(world, mine) == (200, "alice")
        assert await fetch(world, theirs) == (401, "token_inactive")
        assert await fetch(world, theirs, "/other/x") == (200, "alice")
        assert await fetch(world, mine, "/other/x") == (401, "token_inactive")
        assert await fetch(world, theirs, "/chosen/x") == (200, "alice")
        assert await fetch(world, mine, "/both/x") == (401, "token_malformed")
    assert asked(world) == 2
    assert other.counts["introspection"] == 2


async def test_one_token_at_two_providers_is_two(world: World, other: DemoProvider):
    """CVE-2026-33496 [11.6]: the same text, active at both, is whoever each of them says."""
    token = world.provider.mint("alice")
    other.grants.opaque[token] = other.grants.opaque[other.mint("bob")]
    for _ in range(2):
        assert await fetch(world, token) == (200, "alice")
        assert await fetch(world, token, "/other/x") == (200, "bob")
    other.grants.opaque.clear()
    world.clock.advance(30.5)
    world.provider.grants.opaque.clear()
    assert await fetch(world, token) == (200, "alice")
    assert await fetch(world, token, "/other/x") == (200, "bob")


async def test_r15_the_gateway_proves_who_asks(world: World):
    """R15 [11.5, 11.6]: with its secret, or by a signature that is made for each question."""
    signing = {"client_secret": None, "client_auth": "private_key_jwt", "signing_keys": [pem()]}
    changes = {"providers": {"demo": signing}}
    world.gateway.reload(Settings.model_validate(merge(world.config(), changes)))
    assert await fetch(world, world.provider.mint("alice")) == (503, "issuer_misconfigured")
    world.clock.advance(61)
    uri = f"{world.base}/.gateway/jwks/demo"
    world.provider.client = Registration(auth="private_key_jwt", jwks_uri=uri)
    for user in ("alice", "bob"):
        assert await fetch(world, world.provider.mint(user)) == (200, user)
    assert len(world.provider.client.seen) == 2


async def test_an_open_stream_ends_with_its_token(world: World):
    """R49 [11.6]: a WebSocket is closed when the denylist names whose token opened it."""
    token = world.provider.mint("alice", lifetime=3600)
    browser = world.browser()
    socket = await browser.session.ws_connect(
        browser.url("/ws").replace("http", "ws", 1), headers={"Authorization": f"Bearer {token}"}
    )
    await socket.send_str("here")
    assert (await socket.receive(timeout=10)).data == "here"
    assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    assert (await socket.receive(timeout=10)).data == 1008


async def test_off_by_default(world: World):
    """[11.6] Without the setting nobody is asked, and an opaque token is no token."""
    world.gateway.reload(Settings.model_validate(merge(world.config(), introspecting("none"))))
    assert await fetch(world, world.provider.mint("alice")) == (401, "token_malformed")
    assert asked(world) == 0


@pytest.mark.settings(SETTINGS | {"session": {"mode": "redis", "rotation_grace": "60s"}})
async def test_where_the_store_keeps_the_sessions(world: World):
    """[11.6] The same in the other mode, beside sessions whose access tokens are opaque, too."""
    await world.browser().login("/.gateway/login")
    await test_an_opaque_token_is_asked_about_once(world)
