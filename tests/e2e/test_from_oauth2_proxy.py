"""A translated configuration serves the same requests as oauth2-proxy does: side by side, where that is here.

``go install github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6`` makes it; ``make bench`` does so by itself.
"""

import asyncio
import contextlib
import json
import os
import re
from typing import Any, ClassVar

import aiohttp
import pytest
import yaml

from gateway.cli.oauth2_proxy.options import read_file
from gateway.cli.oauth2_proxy.translate import translate
from tests.bench.oauth2_proxy import VERSION, folder
from tests.support.ports import free_port
from tests.support.world import ADMIN_TOKEN, CLIENT_SECRET, SECRET_KEY, Browser, Upstream, World

PROGRAM = folder(os.environ) / "oauth2-proxy"
FORGED = {
    "X-Forwarded-User": "mallory",
    "X-Forwarded-Email": "m@evil.example",
    "X-Forwarded-Groups": "admins",
}
IDENTITY = ("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username")
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
SCRIPT = {"Accept": "application/json"}
OPTIONS = {
    "provider": "oidc",
    "client_id": "demo",
    "client_secret": CLIENT_SECRET,
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "cookie_secure": False,
    "code_challenge_method": "S256",
    "email_domains": ["example.com"],
    "allowed_groups": ["admins"],
    "scope": "openid profile email groups",
    "skip_provider_button": True,
    "skip_auth_routes": [
        "^/static/",
        "^/(humans\\.txt|favicon\\.ico)$",
        "GET=^/hooks/",
        "POST=^/api/hooks(/|$)",
        "^/open/?$",
    ],
    "api_routes": ["^/api/"],
    "silence_ping_logging": True,
}
# who asks (alice is in the group, bob is not), and what becomes of it: an upstream, or why not
CASES = [
    ("nobody", "GET", "/", PAGE, "login"),
    ("nobody", "GET", "/page?x=1&y=%20", PAGE, "login"),
    ("nobody", "GET", "/x", SCRIPT, "refused"),
    ("nobody", "GET", "/api/x", PAGE, "refused"),
    ("nobody", "GET", "/api/x", SCRIPT, "refused"),
    ("nobody", "DELETE", "/x", SCRIPT, "refused"),
    ("nobody", "GET", "/static/app.js", SCRIPT, "app"),
    ("nobody", "GET", "/static/app.js?v=1", FORGED, "app"),
    ("nobody", "POST", "/static/upload", SCRIPT, "app"),
    ("nobody", "GET", "/statics", PAGE, "login"),
    ("nobody", "GET", "/humans.txt", PAGE, "app"),
    ("nobody", "GET", "/favicon.ico", PAGE, "app"),
    ("nobody", "GET", "/favicon.ico/x", PAGE, "login"),
    ("nobody", "GET", "/favicon.icon", PAGE, "login"),
    ("nobody", "GET", "/open", PAGE, "app"),
    ("nobody", "GET", "/open/", PAGE, "app"),
    ("nobody", "GET", "/open/x", PAGE, "login"),
    ("nobody", "GET", "/hooks/a", SCRIPT, "app"),
    ("nobody", "POST", "/hooks/a", SCRIPT, "refused"),
    ("nobody", "POST", "/api/hooks/a", SCRIPT, "api"),
    ("nobody", "POST", "/api/hooks", SCRIPT, "api"),
    ("nobody", "GET", "/api/hooks/a", SCRIPT, "refused"),
    ("nobody", "GET", "/x/static/app.js", PAGE, "login"),
    ("nobody", "GET", "/x", {**PAGE, "Authorization": "Basic YTpi"}, "login"),
    ("nobody", "GET", "/x", {**SCRIPT, "Authorization": "Bearer x.y.z"}, "refused"),
    ("nobody", "GET", "/x", {**SCRIPT, **FORGED}, "refused"),
    ("nobody", "GET", "/ping", SCRIPT, "own"),
    ("alice", "GET", "/", PAGE, "app"),
    ("alice", "GET", "/page?x=1&y=%20", {**PAGE, **FORGED}, "app"),
    ("alice", "POST", "/page", SCRIPT, "app"),
    ("alice", "PUT", "/page", SCRIPT, "app"),
    ("alice", "GET", "/api/x", SCRIPT, "api"),
    ("alice", "GET", "/exact", PAGE, "exact"),
    ("alice", "GET", "/exact/below", PAGE, "app"),
    ("alice", "GET", "/x", {**PAGE, "Authorization": "Basic YTpi"}, "app"),
    ("bob", "GET", "/", PAGE, "refused"),
    ("bob", "GET", "/static/app.js", PAGE, "app"),
    ("bob", "GET", "/api/x", SCRIPT, "refused"),
]


PREFLIGHT = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "PUT"}
CLOSED = {
    "skip_auth_routes": ["!=^/admin(/|$)", "GET=^/admin/help$"],
    "skip_auth_preflight": True,
    "prefer_email_to_user": True,
    "basic_auth_password": "a-password",
    "email_domains": ["*"],
    "allowed_groups": [],
    "api_routes": [],
}
CLOSED_CASES = [
    ("nobody", "GET", "/", PAGE, "app"),
    ("nobody", "POST", "/x", {**SCRIPT, **FORGED}, "app"),
    ("nobody", "GET", "/api/x", SCRIPT, "api"),
    ("nobody", "GET", "/administrator", PAGE, "app"),
    ("nobody", "GET", "/admin", PAGE, "login"),
    ("nobody", "GET", "/admin/", PAGE, "login"),
    ("nobody", "GET", "/admin/x", SCRIPT, "refused"),
    ("nobody", "GET", "/admin/help", PAGE, "app"),
    ("nobody", "POST", "/admin/help", SCRIPT, "refused"),
    ("nobody", "GET", "/admin/help/x", PAGE, "login"),
    ("nobody", "OPTIONS", "/admin/x", PREFLIGHT, "app"),
    ("alice", "GET", "/admin/x", {**PAGE, **FORGED}, "app"),
    ("alice", "GET", "/admin", PAGE, "app"),
    ("alice", "POST", "/admin/help", SCRIPT, "app"),
    ("bob", "GET", "/admin/x", PAGE, "app"),
]
# tokens of the provider stand for these, good ones and one for somebody else's API
BEARER = {"skip_jwt_bearer_tokens": True, "oidc_extra_audiences": ["demo-api"], "pass_access_token": True}
BEARER_CASES = [
    ("nobody", "GET", "/x", {**SCRIPT, "Authorization": "Bearer ALICE"}, "app"),
    ("nobody", "POST", "/api/x", {**SCRIPT, **FORGED, "Authorization": "Bearer ALICE"}, "api"),
    ("nobody", "GET", "/x", {**SCRIPT, "Authorization": "Bearer BOB"}, "refused"),
    ("nobody", "GET", "/x", {**SCRIPT, "Authorization": "Bearer OTHER"}, "refused"),
    ("nobody", "GET", "/x", {**SCRIPT, "Authorization": "Bearer x.y.z"}, "refused"),
    ("nobody", "GET", "/x", {**SCRIPT, "Authorization": "Basic YTpi"}, "refused"),
    ("nobody", "GET", "/static/x", SCRIPT, "app"),
    ("alice", "GET", "/x", PAGE, "app"),
    ("bob", "GET", "/x", PAGE, "refused"),
]
VARIANTS = [({}, CASES), (CLOSED, CLOSED_CASES), (BEARER, BEARER_CASES)]
SECRETS = {
    "GATEWAY_CLIENT_SECRET": CLIENT_SECRET,
    "GATEWAY_SECRET_KEY": SECRET_KEY,
    "GATEWAY_BASIC_PASSWORD": "a-password",
}


class Moved(World):
    """A gateway of a configuration of oauth2-proxy, and the upstreams that it names."""

    changes: ClassVar[dict[str, Any]] = {}

    async def __aenter__(self):
        self.upstreams = {name: Upstream() for name in ("app", "api", "exact")}
        for each in self.upstreams.values():
            await each.start()
        return await super().__aenter__()

    async def __aexit__(self, *problem: object) -> None:
        await super().__aexit__(*problem)
        for each in self.upstreams.values():
            await each.close()

    def source(self, port: int) -> str:
        """Return the file of oauth2-proxy that would listen on a port."""
        urls = {name: each.url for name, each in self.upstreams.items()}
        given: dict[str, Any] = (
            OPTIONS
            | self.changes
            | {
                "http_address": f"127.0.0.1:{port}",
                "redirect_url": f"http://localhost:{port}/oauth2/callback",
                "oidc_issuer_url": self.provider.issuer,
                "upstreams": [f"{urls['app']}/", f"{urls['api']}/api/", f"{urls['exact']}/exact"],
            }
        )
        return "\n".join(f"{name} = {json.dumps(value)}" for name, value in given.items())

    def config(self) -> dict[str, Any]:
        """Return what ``gateway import`` makes of it, with what its tests need."""
        draft = translate(
            read_file(self.source(self.public_port).encode()), None, lambda path: path.read_text()
        )
        assert draft.errors == []
        text = draft.to_yaml("x")
        for name, value in SECRETS.items():
            text = text.replace(f"${{env:{name}}}", value)
        data: dict[str, Any] = yaml.safe_load(text)
        return data | {
            "redis": {"url": self.store_url, "prefix": self.prefix},
            "state_dir": str(self.tmp_path),
            "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        }


class Side:
    """One of the two: where it is, and browsers of the people who ask."""

    def __init__(self, world: Moved, base: str) -> None:
        self.world, self.base = world, base
        self.browsers: dict[str, Browser] = {}

    async def browser(self, who: str) -> Browser:
        """Return somebody's browser, logged in."""
        if who not in self.browsers:
            browser = self.browsers[who] = Browser(self)  # type: ignore[arg-type]
            if who != "nobody":
                await browser.login("/admin/of-mine", who)
        return self.browsers[who]

    async def ask(self, who: str, method: str, path: str, headers: dict) -> tuple[str, dict]:
        """Return what became of a request, and what the upstream was told."""
        browser = await self.browser(who)
        for each in self.world.upstreams.values():
            each.seen.clear()
        page = await browser.request(method, path, follow=False, headers=headers)
        for name, each in self.world.upstreams.items():
            if each.seen:
                seen = each.last()
                told = {field: seen.headers.get(field) for field in (*IDENTITY, "Authorization")}
                if (told["Authorization"] or "").startswith("Bearer "):
                    # there it is another field that holds the access token, as the page says
                    told["Authorization"] = None
                    told["token"] = True
                else:
                    told["token"] = seen.headers.get("X-Forwarded-Access-Token") is not None
                cookie = seen.headers.get("Cookie", "")
                return name, {
                    "path": seen.path_qs,
                    "method": seen.method,
                    "status": page.status,
                    **told,
                    "ours": "gateway-" in cookie,
                }
        if page.status in (302, 303):
            return "login", {}
        return ("own" if page.status == 200 else "refused"), {}

    async def close(self) -> None:
        """Close the browsers."""
        for each in self.browsers.values():
            await each.close()


@contextlib.asynccontextmanager
async def oauth2_proxy(world: Moved):
    """Run the real one, with the very file that was translated."""
    port = free_port()
    world.provider.redirect_uris = (*world.provider.redirect_uris, f"http://localhost:{port}/oauth2/callback")
    path = world.tmp_path / "oauth2-proxy.cfg"
    path.write_text(world.source(port))
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), f"--config={path}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    side = Side(world, f"http://localhost:{port}")
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(400):
                assert process.returncode is None
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{side.base}/ping"):
                        break
                await asyncio.sleep(0.025)
        yield side
    finally:
        await side.close()
        process.terminate()
        await process.wait()


@pytest.fixture(params=VARIANTS, ids=["usual", "closed", "bearer"])
async def moved(request, valkey_url, tmp_path):
    """The gateway of the translated configuration."""
    world = Moved(valkey_url, tmp_path)
    world.changes, world.cases = request.param
    async with world:
        world.provider.redirect_uris = (f"{world.base}/oauth2/callback",)
        scope = "openid profile email groups"
        tokens = {
            "ALICE": world.provider.mint("alice", scope=scope, lifetime=3600, groups=["admins"]),
            "BOB": world.provider.mint("bob", scope=scope, lifetime=3600),
            "OTHER": world.provider.mint("alice", scope=scope, lifetime=3600, audience="other"),
        }
        world.cases = [
            (*first, {name: _filled(value, tokens) for name, value in headers.items()}, expected)
            for *first, headers, expected in world.cases
        ]
        yield world


def _filled(value: str, tokens: dict[str, str]) -> str:
    scheme, _, name = value.partition(" ")
    return f"{scheme} {tokens[name]}" if name in tokens else value


async def test_it_serves_the_same_requests(moved: Moved):
    """[11] A table of cases: who asks for what, and which upstream gets it, told of whom."""
    side = Side(moved, moved.base)
    try:
        for who, method, path, headers, expected in moved.cases:
            found, told = await side.ask(who, method, path, headers)
            assert found == expected, (who, method, path, found)
            if found in moved.upstreams:
                assert (told["path"], told["method"], told["ours"]) == (path, method, False)
                assert "mallory" not in str(told)
                assert "m@evil.example" not in str(told)
                if who == "nobody" and not told["token"]:
                    assert {told[name] for name in IDENTITY} == {None}
                    assert told["Authorization"] == headers.get("Authorization")
    finally:
        await side.close()


@pytest.mark.skipif(not PROGRAM.exists(), reason=f"oauth2-proxy {VERSION} is not here: make bench builds it")
async def test_side_by_side(moved: Moved):
    """[11] The real one, with the very file: what it lets through and tells is the same here."""
    ours = Side(moved, moved.base)
    try:
        async with oauth2_proxy(moved) as theirs:
            for who, method, path, headers, expected in moved.cases:
                there, told_there = await theirs.ask(who, method, path, headers)
                here, told_here = await ours.ask(who, method, path, headers)
                assert here == expected
                if there == "login" and here == "refused":
                    # who calls by another method, or as a script, is sent to no login here; who may not come
                    # in has no session there, and a page here that says so
                    assert who == "bob" or method != "GET" or headers.get("Accept") != PAGE["Accept"]
                else:
                    assert there == here, (who, method, path)
                # a public route is told of nobody here
                if here in moved.upstreams and not (who == "bob" and "static" in path):
                    forged = set(FORGED.values()) - {"admins"}
                    # with prefer_email_to_user the real one lets a client say what its address is
                    there_told = {
                        name: None if value in forged else value for name, value in told_there.items()
                    }
                    assert told_here == there_told, (who, method, path)
    finally:
        await ours.close()


async def test_a_proxy_that_asks(valkey_url, tmp_path):
    """[11, 11.10] Where nothing was forwarded (static:), nginx asks, and is told whom in the same fields."""
    world = Moved(valkey_url, tmp_path)
    world.changes = {
        "upstreams": ["static://202"],
        "set_xauthrequest": True,
        "reverse_proxy": True,
        "trusted_proxy_ips": ["127.0.0.1/32"],
        "session_store_type": "redis",
        "redis_connection_url": valkey_url.replace("unix://", "redis://"),
    }
    async with world:
        world.provider.redirect_uris = (f"{world.base}/oauth2/callback",)
        browser = world.browser()
        url = f"http://127.0.0.1:{world.public_port}/oauth2/decide/nginx"

        async def ask(path: str, cookie: str = "") -> tuple[int, dict[str, str]]:
            headers = {"X-Original-URL": world.base + path, "X-Original-Method": "GET", "Cookie": cookie}
            headers |= {"Host": "gateway.internal", "X-Real-IP": "192.0.2.1"}
            async with browser.session.get(url, headers=headers) as answer:
                return answer.status, dict(answer.headers)

        assert (await ask("/page"))[0] == 401
        assert (await ask("/static/x"))[0] == 200
        login = await browser.get("/oauth2/login?return_to=/oauth2/userinfo")
        assert (await browser.submit(login, username="alice", password="alice")).status == 200
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
        status, told = await ask("/page", cookie)
        assert status == 200
        assert (told["X-Auth-Request-User"], told["X-Auth-Request-Email"]) == ("alice", "alice@example.com")
        assert (await ask("/static/x", cookie))[1]["X-Auth-Request-User"] == ""


def test_the_version_is_the_one_of_the_table():
    """[11] What is compared is what was read."""
    assert re.match(r"v7\.15\.", VERSION)
