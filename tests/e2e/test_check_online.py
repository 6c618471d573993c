"""``gateway check --online`` asks real parts, each of them whole and then broken in its turn."""

import asyncio
import contextlib
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp import web

from gateway.cli import main as cli
from gateway.cli.online.command import ask_everything
from gateway.cli.online.findings import Check, Finding
from gateway.cli.online.names import Names
from gateway.cli.online.running import answer
from gateway.cli.online.store import AUDITED, EVERYWHERE, SOMETIMES
from gateway.config.settings.root import Settings
from gateway.demo.provider import DemoProvider
from tests.support.certificates import Authority
from tests.support.configuration import KEY, TREE
from tests.support.oauth2 import CALLBACK, section
from tests.support.ports import free_port
from tests.support.store import ValkeyServer
from tests.support.world import merge

BASE = "http://localhost:8080"
SECRET = "a-client-secret-of-tests"
WITHIN = 20.0


@contextlib.asynccontextmanager
async def provider(**more):
    """The demo provider, which knows our client and redirect URI."""
    made = DemoProvider("app", SECRET, (f"{BASE}/.gateway/callback",), "api", **more)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def listening(
    context: ssl.SSLContext | None = None, status: int = 200, *, hangs: bool = False, greets: bool = False
):
    """A server of an upstream; yields its port."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if greets:
                writer.write(b"220 smtp.example.com ESMTP\r\n")
            if hangs:
                await reader.read()
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
def store():
    """A store that keeps what it is told, behind a password, with a user who may not do everything."""
    server = ValkeyServer("--appendonly", "yes", port=free_port()).start()
    with server.client() as client:
        client.execute_command(
            *("ACL", "SETUSER", "limited", "on", ">limited-secret", "~gateway:*", "&gateway:*"),
            *("+@all", "-hset", "-publish"),
        )
        client.execute_command("CONFIG", "SET", "requirepass", "hunter2hunter2")
    yield f"redis://:hunter2hunter2@127.0.0.1:{server.port}/0"
    server.close()


def settings(issuer: str, store_url: str, servers: list[str], **more) -> Settings:
    return Settings.model_validate(
        merge(
            {
                "public_url": [BASE],
                "secret_keys": [KEY],
                "redis": {"url": store_url, "timeout": 5},
                "providers": {
                    "corporate": {
                        "issuer": issuer,
                        "client_id": "app",
                        "client_secret": SECRET,
                        "audiences": ["api"],
                        "timeout": 10,
                    }
                },
                "upstreams": {"app": {"servers": servers, "connect_timeout": 10}},
                "routes": [{"path": "/", "upstream": "app", "access": "required"}],
            },
            more,
        )
    )


def told(findings, subject: str, words: str) -> Finding:
    """Return the one answer to a question about a subject."""
    (found,) = [each for each in findings if each.subject == subject and words in each.question]
    line = found.to_line()
    assert SECRET not in line
    assert "hunter2" not in line
    assert "limited-secret" not in line
    assert line.startswith(found.answer)
    return found


def problems(findings) -> list[str]:
    return [each.to_line() for each in findings if each.answer != "yes"]


async def test_everything_is_well(store):
    """[12.cli]: provider, client, redirect URI, clock, store and upstream of a good configuration: yes."""
    async with provider() as demo, listening() as port:
        given = settings(demo.issuer, store, [f"http://127.0.0.1:{port}"])
        findings = await ask_everything(given, WITHIN)
    assert problems(findings) == []
    for subject, words in (
        ("public_url", "resolve"),
        ("providers.corporate", "reached"),
        ("providers.corporate", "metadata"),
        ("providers.corporate", "keys"),
        ("providers.corporate", "same time"),
        ("providers.corporate", "credentials"),
        ("providers.corporate", "redirect URI"),
        ("redis", "reached"),
        ("redis", "answer"),
        ("redis", "recent"),
        ("redis", "memory"),
        ("redis", "restart"),
        ("redis", "permit"),
        ("upstreams.app", "reached"),
    ):
        assert told(findings, subject, words).answer == "yes"
    assert "came back" in told(findings, "providers.corporate", "redirect URI").detail


BROKEN_PROVIDER = {
    "issuer": ({"issuer": "{issuer}/other"}, "metadata", "no", "answered 404"),
    "alias": ({"issuer": "http://localhost:{port}"}, "metadata", "no", "issuer"),
    "client_id": ({"client_id": "another"}, "redirect URI", "no", "client"),
    "secret": ({"client_secret": "quite-another"}, "credentials", "no", "client_secret"),
    "callback": ({"callback": "/elsewhere"}, "redirect URI", "no", "not know it"),
    "closed": ({"issuer": "http://127.0.0.1:{closed}"}, "reached", "no", "nothing listens"),
    "name": ({"issuer": "https://login.invalid"}, "reached", "no", "no such name"),
    "hanging": ({"issuer": "http://127.0.0.1:{hanging}", "timeout": 0.3}, "metadata", "no", "0.3 s"),
}


@pytest.mark.parametrize("name", BROKEN_PROVIDER)
async def test_a_broken_provider(store, name):
    """[12.cli]: wrong issuer, client, secret, redirect URI; a closed port, an unknown name, silence."""
    changes, words, expected, detail = BROKEN_PROVIDER[name]
    async with provider() as demo, listening() as port, listening(hangs=True) as hanging:
        places = {"issuer": demo.issuer, "port": demo.port, "closed": free_port(), "hanging": hanging}
        made = {
            key: value.format(**places) if isinstance(value, str) else value for key, value in changes.items()
        }
        given = settings(demo.issuer, store, [f"http://127.0.0.1:{port}"], providers={"corporate": made})
        findings = await ask_everything(given, WITHIN)
    found = told(findings, "providers.corporate", words)
    assert (found.answer, detail in found.detail) == (expected, True), found
    assert found.advice or words not in ("reached", "metadata")
    assert not [line for line in problems(findings) if "providers.corporate" not in line]


class Pages:
    """A provider that shows pages: a login page to whom it knows, and to others what it is told to."""

    def __init__(self, known: str, answer, ahead: float = 0.0) -> None:
        self.known = known
        self.answer = answer
        self.ahead = ahead

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as such a provider would."""
        response = self._respond(request)
        response.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(seconds=self.ahead), True)
        return response

    def _respond(self, request: web.BaseRequest) -> web.Response:
        if request.path.endswith("openid-configuration"):
            base = f"http://{request.host}"
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            return web.json_response({"issuer": base, **{name: f"{base}/{name}" for name in names}})
        if request.path == "/jwks_uri":
            return web.json_response({"keys": []})
        if request.path == "/token_endpoint":
            return web.json_response({"error": "invalid_grant"}, status=400)
        uri = request.query["redirect_uri"]
        if uri == self.known:
            return web.Response(text=f"<form action='/login'>{uri}</form>", content_type="text/html")
        return self.answer(uri)


@contextlib.asynccontextmanager
async def showing(pages: Pages):
    """A provider of such pages; yields its issuer."""
    runner = web.ServerRunner(web.Server(pages.respond))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("kind", ["offered", "required"])
async def test_requests_that_are_pushed(store, kind):
    """[12.cli]: as a login would; what the provider refuses there is a no as well."""
    async with provider() as demo, listening() as port:
        demo.pushed_requests = kind
        servers = [f"http://127.0.0.1:{port}"]
        assert problems(await ask_everything(settings(demo.issuer, store, servers), WITHIN)) == []
        assert demo.counts["par"]
        other = settings(demo.issuer, store, servers, providers={"corporate": {"callback": "/other"}})
        found = told(await ask_everything(other, WITHIN), "providers.corporate", "redirect URI")
    assert (found.answer, found.detail.count("invalid_redirect_uri")) == ("no", 1), found


@pytest.mark.parametrize("service", ["github", "gitlab", "discord", "generic"])
async def test_a_provider_without_openid(store, service):
    """[12.cli]: OAuth 2.0 alone: reached, its client, its redirect URI; wrong ones are a no."""
    async with provider() as demo, listening() as port:
        demo.redirect_uris = (f"{BASE}{CALLBACK}",)
        known = section(demo.base, service, client_id="app", client_secret=SECRET)
        servers = [f"http://127.0.0.1:{port}"]

        async def asked(**changes):
            providers = {"service": {**known, **changes}}
            base = settings(demo.issuer, store, servers)
            given = Settings.model_validate({**base.model_dump(by_alias=True), "providers": providers})
            return await ask_everything(given, WITHIN)

        assert problems(await asked()) == []
        wrong = told(await asked(client_secret="made-up"), "providers.service", "credentials")
        strange = told(await asked(callback="/other"), "providers.service", "redirect URI")
    assert wrong.answer == "no"
    assert strange.answer == "no"


async def test_a_clock_that_is_wrong(store):
    """[12.cli]: by the Date of the provider's answers, and by how much."""
    async with showing(Pages("", lambda _: web.Response(status=503), ahead=300)) as issuer:
        findings = await ask_everything(settings(issuer, store, ["http://127.0.0.1:1"]), WITHIN)
    found = told(findings, "providers.corporate", "same time")
    assert found.answer == "no"
    assert "behind it" in found.detail
    assert "NTP" in found.advice


MISMATCH = "/signin/oauth/error?authError=ChVyZWRpcmVjdF91cmlfbWlzbWF0Y2gSsAE"


@pytest.mark.parametrize(
    ("is_known", "strange", "expected"),
    [
        # it ignores prompt=none, and refuses what it does not know: compared, that is enough
        (True, lambda _: web.Response(status=400, text="no"), "yes"),
        (False, lambda _: web.Response(status=400, text="no"), "no"),
        (False, lambda _: web.Response(status=400, text="Invalid redirect_uri"), "no"),
        (False, lambda _: web.Response(text="AADSTS50011: the redirect URI does not match"), "no"),
        (False, lambda _: web.Response(status=302, headers={"Location": MISMATCH}), "no"),
        # it shows everybody a page, or sends everybody on
        (False, lambda uri: web.Response(text=f"<form>{uri}</form>"), "cannot be told"),
        (False, lambda _: web.Response(status=302, headers={"Location": "/login?x"}), "cannot be told"),
        (False, lambda _: web.Response(status=503, text="later"), "cannot be told"),
        # addresses that are none, and pages without an end
        (False, lambda _: web.Response(status=302, headers={"Location": "http://[::1"}), "cannot be told"),
        (False, lambda _: web.Response(status=302, headers={"Location": "//\u202egnp/?x"}), "cannot be told"),
        (False, lambda _: web.Response(text="<form>" * 300_000), "cannot be told"),
        # answers that lead back to where a redirect URI merely begins alike
        (
            False,
            lambda uri: web.Response(status=302, headers={"Location": f"{uri}.evil.example/?error=x"}),
            "cannot be told",
        ),
        (
            False,
            lambda uri: web.Response(status=302, headers={"Location": f"{uri}?error=login_required"}),
            "yes",
        ),
        (
            False,
            lambda uri: web.Response(status=303, headers={"Location": f"{uri}?error=invalid_scope"}),
            "no",
        ),
        (
            False,
            lambda uri: web.Response(status=303, headers={"Location": f"{uri}?error=\x1b"}),
            "cannot be told",
        ),
    ],
)
async def test_what_a_redirect_uri_is_known_by(is_known, strange, expected, store):
    """[12.cli]: yes and no where it is certain, and where it is not, that it cannot be told."""
    pages = Pages(f"{BASE}/.gateway/callback" if is_known else "", strange)
    async with showing(pages) as issuer:
        findings = await ask_everything(settings(issuer, store, ["http://127.0.0.1:1"]), WITHIN)
    assert not [each for each in findings if "the check itself failed" in each.detail]
    about = [each for each in findings if "redirect URI" in each.question or "authorization" in each.question]
    worst = min(about, key=lambda each: ("no", "cannot be told", "yes").index(each.answer))
    assert worst.answer == expected, about
    assert all(each.to_line().isprintable() for each in about)
    # it answers alike whatever the secret is, so nothing is claimed of ours
    assert told(findings, "providers.corporate", "credentials").answer == "cannot be told"
    assert told(findings, "providers.corporate", "keys").answer == "no"


async def test_an_independent_provider(store, iam_server):
    """[12.cli]: canaille, which this project did not write: registered, not registered, another client."""
    issuer = iam_server.url.rstrip("/")
    registration = {
        "client_name": "token gateway",
        "redirect_uris": [f"{BASE}/.gateway/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "openid profile",
        "contacts": ["operator@example.com"],
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{issuer}/oauth/register", json=registration) as created,
    ):
        client = await created.json()
    known = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    known |= {"scopes": ["openid", "profile"], "timeout": 10}
    async with listening() as port:
        servers = [f"http://127.0.0.1:{port}"]
        good = settings(issuer, store, servers, providers={"corporate": known})
        findings = await ask_everything(good, WITHIN)
        assert problems(findings) == []
        strange = settings(issuer, store, servers, providers={"corporate": known | {"callback": "/other"}})
        other = settings(issuer, store, servers, providers={"corporate": known | {"client_id": "other"}})
        wrong = settings(issuer, store, servers, providers={"corporate": known | {"client_secret": SECRET}})
        for each, words in ((strange, "redirect URI"), (other, "redirect URI"), (wrong, "credentials")):
            found = told(await ask_everything(each, WITHIN), "providers.corporate", words)
            assert found.answer == "no", found


@pytest.mark.parametrize(
    ("change", "words", "expected", "detail"),
    [
        ({"url": "redis://:wrong@127.0.0.1:{port}/0"}, "answer", "no", "user name or password"),
        ({"url": "redis://127.0.0.1:{port}/0"}, "answer", "no", "user name or password"),
        ({"url": "redis://127.0.0.1:{closed}/0"}, "reached", "no", "nothing listens"),
        ({"url": "redis://store.invalid/0"}, "reached", "no", "no such name"),
        ({"url": "rediss://:x@127.0.0.1:{port}/0"}, "reached", "no", ""),
        ({"url": "redis://:x@127.0.0.1:{hanging}/0"}, "answer", "no", "did not answer"),
        ({"url": "redis://limited:limited-secret@127.0.0.1:{port}/0"}, "permit", "no", "HSET, PUBLISH"),
        ({"prefix": "other:"}, "permit", "yes", ""),
        ({"url": "redis://store.invalid/0"}, "encrypted", "cannot be told", "whether anybody else"),
    ],
)
async def test_a_broken_store(store, change, words, expected, detail):
    """[12.cli]: wrong password, none, closed port, unknown name, no TLS, silence, commands denied."""
    async with provider() as demo, listening() as port, listening(hangs=True) as hanging:
        places = {"port": store.rpartition(":")[2][:-2], "closed": free_port(), "hanging": hanging}
        made = {key: value.format(**places) for key, value in change.items()}
        given = settings(demo.issuer, store, [f"http://127.0.0.1:{port}"], redis=made)
        is_silent = "hanging" in change.get("url", "") or "rediss" in change.get("url", "")
        findings = await ask_everything(given, 1.5 if is_silent else WITHIN)
    found = told(findings, "redis", words)
    assert (found.answer, detail in found.detail) == (expected, True), found


async def test_a_store_that_forgets():
    """[12.cli]: noeviction missing, nothing on a disk: each is a no with what to set."""
    forgetful = ValkeyServer("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru").start()
    try:
        given = settings("http://127.0.0.1:1", forgetful.url, ["http://127.0.0.1:1"])
        findings = await ask_everything(given, WITHIN)
    finally:
        forgetful.close()
    memory, restart = told(findings, "redis", "memory"), told(findings, "redis", "restart")
    assert (memory.answer, restart.answer) == ("no", "no")
    assert "allkeys-lru" in memory.detail
    assert "noeviction" in memory.advice
    assert "appendonly" in restart.advice


def test_every_command_of_the_store_is_asked_about():
    """[12.cli]: what docs/store.md says is needed is what the check asks for."""
    text = (TREE / "docs/store.md").read_text()
    (paragraph,) = [each for each in text.split("\n\n") if each.startswith("The commands needed are ")]
    import re

    written = {name.split()[0] for name in re.findall(r"`([A-Z]+(?: [A-Z]+)?)`", paragraph)}
    # of a connection, of a Cluster, of Sentinels: needed to ask at all
    of_connections = {"CLIENT", "SELECT", "UNSUBSCRIBE", "CLUSTER", "ASKING"}
    assert {command[0] for command in (*EVERYWHERE, *SOMETIMES, *AUDITED)} == written - of_connections


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and contexts of servers by what is wrong with their certificates."""
    directory = tmp_path_factory.mktemp("tls")
    ours = Authority(directory)
    pairs = {
        "good": ours.issue("localhost", "127.0.0.1", file="good"),
        "expired": ours.issue("localhost", "127.0.0.1", file="expired", days=0),
        "other": ours.issue("elsewhere.example", file="other"),
        "foreign": Authority(directory, "foreign").issue("localhost", "127.0.0.1", file="foreign"),
    }
    contexts = {}
    for name, pair in pairs.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(pair.certificate, pair.key)
    return ours, pairs, contexts


@pytest.mark.parametrize(
    ("kind", "expected", "detail", "advice"),
    [
        ("good", "yes", "valid until", ""),
        ("expired", "no", "expired on", "renew it"),
        ("other", "no", "is for elsewhere.example, not for 127.0.0.1", "tls.server_name"),
        ("foreign", "no", "authority that is not known", "tls.ca_file"),
        ("greeting", "no", "speaks no TLS", "without TLS"),
        ("hanging", "no", "no TLS came about within 0.5 s", "without TLS"),
        ("closed", "no", "nothing listens", "is it up"),
        ("name", "no", "no such name", "spelling"),
    ],
)
async def test_an_upstream_over_tls(certificates, kind, expected, detail, advice):
    """[12.cli]: names, dates and authorities of certificates; no TLS, silence, nobody, no such name."""
    ours, _, contexts = certificates
    hosts = {"name": "https://app.invalid", "closed": f"https://127.0.0.1:{free_port()}"}
    hangs, greets = kind in ("hanging", "greeting"), kind == "greeting"
    async with listening(contexts.get(kind), hangs=hangs, greets=greets) as port:
        server = hosts.get(kind, f"https://127.0.0.1:{port}")
        patience = 0.5 if kind == "hanging" else 10
        more = {"upstreams": {"app": {"tls": {"ca_file": str(ours.file)}, "connect_timeout": patience}}}
        given = settings("http://127.0.0.1:1", "redis://127.0.0.1:1", [server], **more)
        found = told(await ask_everything(given, WITHIN), "upstreams.app", "reached")
    assert found.answer == expected
    assert detail in found.detail
    assert advice in found.advice


async def test_an_upstream_s_health(tmp_path):
    """[12.cli]: where it has checks of its own, by them; over a Unix socket, too."""
    async with listening(status=503) as port, listening(hangs=True) as hanging:
        busy, silent, gone = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{hanging}", f"unix:{tmp_path}/s"
        slow = {"servers": [silent], "health": {"path": "/health", "timeout": 0.3}}
        more = {"upstreams": {"app": {"health": {"path": "/health", "timeout": 30}}, "slow": slow}}
        given = settings("http://127.0.0.1:1", "redis://127.0.0.1:1", [busy, gone], **more)
        findings = await ask_everything(given, WITHIN)
    answers = {each.question: each for each in findings if each.subject.startswith("upstreams.")}
    assert answers[f"is it healthy ({busy}/health)"].detail.startswith("it answers 503")
    assert "0.3 s" in answers[f"is it healthy ({silent}/health)"].detail
    assert answers[f"is it healthy ({silent}/health)"].answer == "no"
    assert "no socket" in answers[f"is it reached ({gone})"].detail


async def test_what_takes_telemetry(certificates):
    """[12.cli]: each collector once, over TLS by its own authority."""
    ours, _, contexts = certificates
    async with listening(contexts["good"]) as port:
        gone = f"http://127.0.0.1:{free_port()}"
        section = {"endpoint": f"https://127.0.0.1:{port}", "ca_file": str(ours.file)}
        section |= {"traces": {}, "metrics": {}, "logs": {"endpoint": f"{gone}/v1/logs"}}
        nobody = "127.0.0.1:1"
        given = settings(f"http://{nobody}", f"redis://{nobody}", [f"http://{nobody}"], telemetry=section)
        findings = await ask_everything(given, WITHIN)
    assert told(findings, "telemetry", str(port)).answer == "yes"
    assert told(findings, "telemetry", gone).answer == "no"


async def test_our_own_certificates(certificates):
    """[12.cli]: their dates, and whether they bear the names under which browsers come."""
    _, pairs, _ = certificates
    tls = {"certificates": [pairs["good"].written, pairs["expired"].written]}
    sites = ["https://localhost", "https://*.apps.example.com"]
    nobody = "127.0.0.1:1"
    more = {"tls": tls, "public_url": sites, "admin": {"tls": pairs["expired"].written}}
    given = settings(f"http://{nobody}", f"redis://{nobody}", [f"http://{nobody}"], **more)
    findings = await ask_everything(given, WITHIN)
    dates = [each for each in findings if each.question == "is this certificate valid"]
    assert [(each.subject, each.answer) for each in dates] == [
        ("tls", "yes"),
        ("tls", "no"),
        ("admin.tls", "no"),
    ]
    assert all("expired on" in each.detail for each in dates[1:])
    assert told(findings, "tls", "its name (localhost)").answer == "yes"
    assert told(findings, "tls", "its name (*.apps.example.com)").answer == "no"


async def test_a_check_that_hangs_or_breaks():
    """[12.cli]: each has its time and the whole has its own; one that breaks hides no other."""

    async def hangs():
        await asyncio.Event().wait()

    async def breaks():
        raise ZeroDivisionError

    async def well():
        return [Finding("c", "is it", "yes")]

    checks = [Check("a", "is it", hangs, 0.05), Check("b", "is it", breaks, 9), Check("c", "is it", well, 9)]
    checks.append(Check("d", "is it", hangs, 60))
    found = await answer(checks, 0.2)
    assert [each.answer for each in found] == ["cannot be told", "cannot be told", "yes", "cannot be told"]
    assert "ZeroDivisionError" in found[1].detail


def test_the_command(tmp_path, capsys):
    """[12.cli]: one line an answer and a sum, or JSON; exit code 1 for any no; no secret anywhere."""
    path = tmp_path / "gateway.yaml"
    given = settings("http://127.0.0.1:1", "redis://:hunter2hunter2@127.0.0.1:1", ["http://127.0.0.1:1"])
    document = {
        "public_url": BASE,
        "secret_keys": [KEY],
        "redis": {"url": "redis://:hunter2hunter2@127.0.0.1:1"},
        "providers": {
            "corporate": {
                "issuer": "http://127.0.0.1:1",
                "client_id": "app",
                "client_secret": SECRET,
                "audiences": ["api"],
            }
        },
        "upstreams": {"app": {"servers": list(given.upstreams["app"].servers)}},
        "routes": [{"path": "/", "upstream": "app", "access": "required"}],
    }
    path.write_text(json.dumps(document))
    assert cli.main(["check", "--config", str(path)]) == 0
    capsys.readouterr()
    assert cli.main(["check", "--online", "--config", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in err
    lines = out.splitlines()
    assert lines[0].startswith(f"{path}: good")
    assert "no              redis: is 127.0.0.1:1 reached: nothing listens at 127.0.0.1:1 - is it up?" in out
    assert " no" in lines[-1]
    assert cli.main(["check", "--online", "--json", "--config", str(path)]) == 1
    answered = capsys.readouterr().out
    told_of = json.loads(answered)
    assert told_of["good"] is False
    assert {each["answer"] for each in told_of["answers"]} <= {"yes", "no", "cannot be told"}
    assert SECRET not in out + err + answered
    assert "hunter2" not in out + err + answered


def test_progress_is_for_a_terminal(monkeypatch, capsys):
    """[12.cli]: one line that is written over and taken away."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    async def well():
        await asyncio.sleep(0)
        return []

    asyncio.run(answer([Check("redis", "is it", well, 1), Check("tls", "is it", well, 1)], 1))
    err = capsys.readouterr().err
    assert "0 of 2 answered; waiting for redis, tls" in err
    assert err.endswith("\r\x1b[K")


def test_a_name_that_hangs_keeps_nobody(monkeypatch):
    """[12.cli]: a resolver that never answers is left behind when the time is over."""
    import threading

    let_go = threading.Event()
    real = socket.getaddrinfo

    def slow(host, *arguments, **named):
        if host == "slow.example":
            let_go.wait(30)
        return real(host, *arguments, **named)

    monkeypatch.setattr("socket.getaddrinfo", slow)
    given = settings(
        "http://127.0.0.1:1",
        "redis://127.0.0.1:1",
        ["http://slow.example"],
        public_url=["http://slow.example"],
        allow_insecure_http=True,
    )
    try:
        from gateway.cli.online.command import find_out

        findings = find_out(given, 0.5)
    finally:
        let_go.set()
    assert told(findings, "public_url", "resolve").answer == "cannot be told"
    assert told(findings, "upstreams.app", "reached").answer != "yes"


async def test_a_name_below_localhost():
    """[12.cli]: browsers take it for this machine, whether or not the system's resolver knows it."""
    names = Names()
    assert (await names.finding("public_url", "app.localhost")).answer == "yes"
    assert (await names.finding("public_url", "localhost.invalid")).answer == "no"
