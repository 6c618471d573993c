"""``gateway explain --live``: what a running gateway knows is told, and nothing happens."""

import json
import os

import pytest

from gateway.syntax.api_keys import compose, id_of
from tests.e2e.test_api_keys import told as key_fields
from tests.support.dpop import proof, thumbprint
from tests.support.fleet import Fleet
from tests.support.world import World, merge

ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public"},
    {"path": "/optional/", "upstream": "app", "access": "optional"},
    {"path": "/post/", "upstream": "app", "access": "required", "methods": ["POST"]},
    {"path": "/keyed/", "upstream": "app", "access": "required", "api_keys": True},
    {
        "path": "/secret/",
        "upstream": "app",
        "access": "required",
        "request_headers": {"X-Gateway-Secret": "hunter2hunter2"},
        "require": {"any": [{"groups": ["nobodies"]}, {"claims": {"email": ["alice@example.com"]}}]},
    },
    {
        "path": "/limited/",
        "upstream": "app",
        "access": "required",
        "rate_limit": {"requests": 3, "per": "1h", "by": "address"},
    },
    {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]
SETTINGS = {
    "routes": ROUTES,
    "api_keys": {},
    "identity_headers": {"X-Forwarded-User": "sub", "X-Forwarded-Email": "email"},
}
MODES = {"cookie": {}, "redis": {"session": {"mode": "redis"}}}
pytestmark = pytest.mark.asyncio


@pytest.fixture(params=list(MODES))
async def world(request, valkey_url, tmp_path):
    """A gateway in each of the two session modes."""
    async with World(valkey_url, tmp_path, **merge(SETTINGS, MODES[request.param])) as world:
        world.mode = request.param
        yield world


async def explain(world: World, target: str, *headers: tuple[str, str], method: str = "GET", **more) -> dict:
    question = {
        "method": method,
        "target": target,
        "host": f"localhost:{world.public_port}",
        "headers": [list(each) for each in headers],
    }
    page = await world.admin("POST", "/explain", json=question | more)
    assert page.status == 200, page.text
    return json.loads(page.text)


def cookie_of(browser) -> tuple[str, str]:
    return "Cookie", "; ".join(f"{name}={value}" for name, value in browser.cookies().items())


def outcomes(document: dict) -> dict[str, str]:
    return {each["check"]: each["outcome"] for each in document["checks"]}


def trace(world: World) -> tuple:
    """Return whatever an effect would change."""
    gateway = world.gateway
    memory, rules = gateway.pipeline.knowledge.memory, gateway.runtime.rules
    return (
        dict(world.provider.counts),
        len(world.lines),
        len(world.upstream.seen),
        (list(memory.sessions._young), list(memory.sessions._old), len(memory.cookies)),
        dict(rules.request_lines.known),
        [
            line.found.verified
            for line in rules.request_lines.known.values()
            if hasattr(getattr(line, "found", None), "verified")
        ],
        {limit.name: dict(each._arrivals) for limit, each in gateway.rate_limits._buckets.items()},
        gateway.api_keys.looked_up,
        dict(gateway.api_keys._found),
        len(gateway.runtime.places._known),
    )


async def test_a_session_is_explained(world: World):
    """[11.12] Whose, each check, where each fact came from, the headers; and the decision is the real one."""
    browser = world.browser()
    await browser.login("/secret/x")
    found = await explain(world, "/secret/x?token=abc", cookie_of(browser))
    assert (found["decision"], found["reason"]) == ("forward", "authenticated")
    assert found["route"]["name"] == "/secret/"
    (credential,) = found["credentials"]
    assert (credential["kind"], credential["subject"], credential["counts"]) == (
        "session cookie",
        "alice",
        True,
    )
    assert (
        credential["session"] == world.audit("login_completed")[-1]["session"]
        if world.audit("login_completed")
        else credential["session"]
    )
    assert set(outcomes(found).values()) == {"passed"}
    facts = {each["fact"]: each for each in found["facts"]}
    where = (
        "the cookie itself"
        if world.mode == "cookie"
        else "the record in the store, as this worker remembers it"
    )
    assert facts["session"]["from"] == where
    assert 0 <= facts["session"]["age"] < 60
    assert any(name.startswith("claims ") for name in facts)
    assert facts["denylist"]["age"] is not None
    assert [each["outcome"] for each in found["policy"]["one_of"]] == ["failed", "passed"]
    headers = {each["name"]: each["value"] for each in found["upstream"]["headers"]}
    assert headers["X-Forwarded-User"] == "alice"
    assert headers["X-Gateway-Secret"] == "(hidden)"
    real = await browser.fetch("/secret/x")
    assert real.status == 200
    sent = world.upstream.last().headers
    assert set(headers) >= {"X-Forwarded-User", "X-Forwarded-Email"}
    assert sent["X-Forwarded-Email"] == headers["X-Forwarded-Email"]


async def test_nothing_happens(world: World, monkeypatch):
    """[11.12] Nothing is fetched, counted, used up, remembered, forgotten, logged or sent."""
    browser = world.browser()
    await browser.login("/limited/x")
    token = world.provider.mint("alice", scope="api")
    assert (await world.browser().fetch("/x", headers={"Authorization": f"Bearer {token}"})).status == 200
    mine = cookie_of(browser)
    asked_of_store: list[str] = []
    store = world.gateway.store
    for name in ("execute", "run", "run_patiently", "use_once"):
        kept = getattr(store, name)

        def told(*words, kept=kept, **more):
            asked_of_store.append(str(words[1:] if words and not isinstance(words[0], str) else words))
            return kept(*words, **more)

        monkeypatch.setattr(store, name, told)
    before = trace(world)
    for target in (
        "/x",
        "/limited/x",
        "/admin/x",
        "/nothing/y",
        "/optional/",
        "/.gateway/logout",
        "/a%2f..",
        "/Secret/",
    ):
        for headers in (
            (),
            (mine,),
            (("Authorization", f"Bearer {token}"),),
            (("X-API-Key", compose(os.urandom(10), os.urandom(32))),),
        ):
            for method in ("GET", "POST", "OPTIONS"):
                await explain(world, target, *headers, method=method)
    assert trace(world) == before
    # what keeps the replica in step goes on meanwhile
    assert [each for each in asked_of_store if "deny" not in each] == []
    # of three in an hour two were the login's own: asking took none of them
    asked = await explain(world, "/limited/x", mine, client="127.0.0.1")
    assert (asked["decision"], asked["limit"]["remaining"]) == ("forward", 0)
    assert (await browser.fetch("/limited/x")).status == 200
    asked = await explain(world, "/limited/x", mine, client="127.0.0.1")
    assert (asked["decision"], asked["reason"]) == ("refuse", "rate_limited")


async def test_an_expired_session_is_not_refreshed(world: World):
    """[11.12] What a request would renew is named, and neither lease nor refresh token is touched."""
    browser = world.browser()
    await browser.login("/x")
    world.clock.advance(world.provider.access_lifetime + 1)
    calls = dict(world.provider.counts)
    found = await explain(world, "/x", cookie_of(browser))
    assert found["decision"] == "not yet"
    assert found["needs"] == {"what": "a refreshed session", "provider": "demo"}
    assert outcomes(found)["session"] == "unknown"
    assert found["not_done"] == ["a refreshed session"]
    assert dict(world.provider.counts) == calls
    assert (await browser.fetch("/x")).status == 200


async def test_a_session_that_is_due_tells_what_is_not_done(world: World):
    """[11.12] A refresh behind the back is told and not begun."""
    browser = world.browser()
    await browser.login("/x")
    world.clock.advance(world.provider.access_lifetime * 0.9)
    calls = dict(world.provider.counts)
    found = await explain(world, "/x", cookie_of(browser))
    assert found["decision"] == "forward"
    assert "a refreshed session" in found["not_done"]
    assert dict(world.provider.counts) == calls


async def test_whoever_is_revoked(world: World):
    """R44 [11.12]: the running denylist is asked, which the configuration alone knows nothing of."""
    browser = world.browser()
    await browser.login("/x")
    token = world.provider.mint("alice", scope="api")
    bearer = ("Authorization", f"Bearer {token}")
    assert (await explain(world, "/x", bearer))["decision"] == "forward"
    mine = cookie_of(browser)
    assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    for shown in (bearer, mine):
        found = await explain(world, "/x", shown)
        assert (found["decision"], found["reason"]) == ("refuse", "revoked"), found
    found = await explain(world, "/x", bearer)
    assert (outcomes(found)["bearer token"], outcomes(found)["not revoked"]) == ("passed", "failed")


async def test_a_bearer_token_and_its_keys(world: World):
    """[11.12] Keys that the gateway has are used, and told with their age."""
    token = world.provider.mint("alice", scope="api")
    bearer = ("Authorization", f"Bearer {token}")
    assert (await world.browser().fetch("/x", headers=dict([bearer]))).status == 200
    bobs = world.provider.mint("bob", scope="api")
    found = await explain(world, "/admin/x", ("Authorization", f"Bearer {bobs}"))
    assert (found["decision"], found["reason"]) == ("refuse", "group_missing")
    assert outcomes(found) | {"policy": "failed"} == outcomes(found)
    facts = {each["fact"]: each for each in found["facts"]}
    assert facts["keys of provider demo"]["age"] >= 0
    assert "whom the token names" in facts


async def test_a_bound_token_and_its_proof(world: World):
    """[11.7, 11.12] A proof is judged and not used up; it is shown to nobody."""
    token = world.provider.mint("alice", scope="api", cnf={"jkt": thumbprint()})
    shown = proof(token, f"{world.base}/x", world.clock())
    assert (await world.browser().fetch("/x", headers={"Authorization": f"DPoP {token}"})).status == 401
    fields = ("Authorization", f"DPoP {token}"), ("DPoP", shown)
    for _ in range(2):
        found = await explain(world, "/x", *fields)
        assert (found["decision"], found["credentials"][0]["kind"]) == ("forward", "bound token")
        assert outcomes(found)["proof"] == "passed"
        assert "a value used up" in found["not_done"]
        assert shown not in json.dumps(found)
    assert (await world.browser().fetch("/x", headers=dict(fields))).status == 200
    for wrong, reason in (
        (fields[:1], "proof_missing"),
        ((("Authorization", f"Bearer {token}"),), "proof_missing"),
        ((fields[0], ("DPoP", "x")), "proof_invalid"),
    ):
        found = await explain(world, "/x", *wrong)
        assert (found["decision"], found["reason"]) == ("refuse", reason)
        assert outcomes(found)["proof"] == "failed"
        assert "not revoked" not in outcomes(found)


async def test_an_api_key(world: World):
    """[11.12] A key that was looked up lately is told with the age of that; another is not looked up."""
    key = compose(os.urandom(10), os.urandom(32))
    page = await world.admin("POST", "/keys", json=key_fields(key, world))
    assert page.status == 200
    found = await explain(world, "/keyed/x", ("X-API-Key", key))
    assert (found["decision"], found["needs"]["what"]) == ("not yet", "the API key's record in the store")
    assert (await world.browser().fetch("/keyed/x", headers={"X-API-Key": key})).status == 200
    found = await explain(world, "/keyed/x", ("X-API-Key", key))
    assert (found["decision"], found["credentials"][0]["key"]) == ("forward", id_of(key))
    assert any("remembered" in each["from"] or "looked it up" in each["from"] for each in found["facts"])
    assert key not in json.dumps(found)


async def test_no_secret_is_ever_shown(world: World):
    """R16 [11.12]: of everything that was presented, nothing comes back, wherever it stood."""
    browser = world.browser()
    await browser.login("/x")
    token = world.provider.mint("alice", scope="api")
    key = compose(os.urandom(10), os.urandom(32))
    secret = "s3cr3t-in-any-place"
    cookies = browser.cookies()
    headers = [
        cookie_of(browser),
        ("Authorization", f"Basic {secret}"),
        ("X-Api-Token", secret),
        ("Proxy-Authorization", secret),
        ("X-Custom", f"{secret} {token}"),
        ("Referer", f"https://localhost/?code={secret}"),
        ("User-Agent", f"bot {token}"),
        ("X-API-Key", key),
    ]
    for target in (
        f"/x?access_token={secret}",
        f"/keyed/?{secret}",
        f"/.gateway/callback?code={secret}&state={secret}",
        f"/x/{token}",
        f"/.gateway/logout?id_token_hint={token}",
    ):
        for chosen in (headers, headers[1:], headers[:1], headers[1:7]):
            text = json.dumps(await explain(world, target, *chosen))
            for each in (secret, token, key, *(value for value in cookies.values() if len(value) > 20)):
                assert each not in text, (target, each[:20])


QUESTIONS = (
    b"",
    b"[]",
    b"{}",
    b'{"method":"GET","target":"/","host":1}',
    b'{"method":"GET","target":"/","host":"x","more":1}',
    b'{"method":"GE T","target":"/","host":"x"}',
    b'{"method":"GET","target":"/ x","host":"x"}',
    b'{"method":"GET","target":"/","host":"x","headers":{}}',
    b'{"method":"GET","target":"/","host":"x","headers":[["a"]]}',
    b'{"method":"GET","target":"/","host":"x","headers":[["a b","c"]]}',
    b'{"method":"GET","target":"/","host":"x","headers":[["a","b\\r\\nc: d"]]}',
    b'{"method":"GET","target":"/","host":"x","client":"me"}',
    b'{"method":"GET","target":"/","host":"x","headers":[["a","\\ud800"]]}',
    b'{"method":"GET","target":"/","host":"x","headers":' + b"[" * 5000,
    json.dumps({"method": "GET", "target": "/", "host": "x", "headers": [["a", "b"]] * 501}).encode(),
)


async def test_what_is_no_question(valkey_url, tmp_path):
    """[11.12] Garbage is 400; without the token nobody is told anything; other methods are not there."""
    async with World(valkey_url, tmp_path, **SETTINGS) as world:
        for body in QUESTIONS:
            page = await world.admin("POST", "/explain", data=body)
            assert page.status == 400, page.text
        good = {"method": "GET", "target": "/", "host": "x"}
        assert (await world.admin("POST", "/explain", token=None, json=good)).status == 401
        assert (await world.admin("POST", "/explain", token="wrong", json=good)).status == 401
        assert (await world.admin("POST", "/explain", json=good)).status == 200
        assert (await world.admin("GET", "/explain")).status == 405
        assert (await world.admin("POST", "/explain", data=b"x" * 300_000)).status == 413


async def test_a_fleet_is_asked_until_one_worker_knows(tmp_path):
    """[11.12] The worker that remembers a session of the store is found, by the command."""
    override = merge(SETTINGS, MODES["redis"])
    async with Fleet(2, **override) as fleet:
        browser = fleet.browser()
        await browser.login("/x", "bob")
        await browser.fetch("/x")
        curl = tmp_path / "saved.txt"
        name, value = cookie_of(browser)
        curl.write_text(f"curl '{fleet.base}/admin/x?a=s3cr3t' \\\n  -H '{name}: {value}' --compressed\n")
        code, text = await fleet.command("explain", "--live", "--json", "--curl", str(curl))
        assert code == 0, text
        found = json.loads(text)
        assert isinstance(found["worker"], int)
        assert (found["decision"], found["credentials"][0]["subject"]) == ("refuse", "bob")
        assert value[-20:] not in text
        assert "s3cr3t" not in text
        lines = [each for each in fleet.events("request") if each["path"] == "/x"]
        code, text = await fleet.command(
            "explain", "--live", "--log", str(fleet.log), "--request-id", lines[-1]["request_id"]
        )
        assert code == 0, text
        assert text.splitlines()[0] == f"request:  GET /x at localhost:{fleet.public_port}"
        assert "decision forward" in text.splitlines()[1]
        assert "credentials_missing" in text or "login_required" in text


async def test_an_opaque_token_is_not_asked_about(valkey_url, tmp_path):
    """[11.6, 11.12] What the provider said a moment ago counts, with its age; else the question is named."""
    settings = merge(SETTINGS, {"providers": {"demo": {"introspection": "json"}}})
    settings["routes"] = [{"path": "/", "upstream": "app", "access": "required"}]
    async with World(valkey_url, tmp_path, **settings) as world:
        world.provider.quirks.add("opaque-access-tokens")
        bearer = ("Authorization", f"Bearer {world.provider.mint('alice', scope='api')}")
        found = await explain(world, "/x", bearer)
        assert (found["decision"], found["needs"]["what"]) == ("not yet", "an introspected token")
        assert world.provider.counts["introspection"] == 0
        assert (await world.browser().fetch("/x", headers=dict([bearer]))).status == 200
        world.clock.advance(5)
        found = await explain(world, "/x", bearer)
        assert (found["decision"], found["credentials"][0]["subject"]) == ("forward", "alice")
        assert any(each["age"] >= 5 for each in found["facts"] if "provider demo said" in each["from"])
        assert world.provider.counts["introspection"] == 1
