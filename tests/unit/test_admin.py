"""The admin listener: who may ask what, and what a revocation must look like."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config.settings.admin import AdminSettings, AdminTokenSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry
from gateway.edge.admin.answering import MOST_BODY
from gateway.edge.admin.listener import Admin
from gateway.edge.admin.readiness import Readiness
from gateway.edge.admin.revocation_request import Refused, Terms, parse_revocation
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.http.ports import Limits

TOKEN = "admin-token-of-the-tests-0123456789abcdef"
ISSUERS = {"one": "https://one.example", "two": "https://two.example"}
TWO = ISSUERS["two"]
NOW = 1_700_000_000.0
LIFE = 7 * 86400.0
IDLE = 120.0


@dataclass
class Asked:
    """An admin listener on the loopback, and what it did."""

    token: str | None = TOKEN
    issuers: dict[str, str] = field(default_factory=lambda: {"one": ISSUERS["one"]})
    checks: dict[str, str | None] = field(default_factory=lambda: {"store": None})
    fault: Exception | None = None
    written: list[DenyEntry] = field(default_factory=list)
    mandates: list[dict[str, str]] = field(default_factory=list)
    limits: Limits | None = None
    tokens: dict[str, AdminTokenSettings] = field(default_factory=dict)
    events: list[dict[str, object]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        token = SecretStr(self.token) if self.token is not None else None
        # the configuration refuses an empty token; the listener must hold without that
        settings = AdminSettings.model_construct(
            listen="127.0.0.1:0", token=token, tokens=self.tokens, hosts=()
        )
        self.admin = Admin(
            settings,
            metrics=self._metrics,
            ready=self._ready,
            revoke=self._revoke,
            terms=Terms(self.issuers, LIFE, IDLE),
            audit=self._audit,
            clock=lambda: NOW,
            limits=self.limits,
        )
        await self.admin.start()
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{self.admin.port}")
        return self

    async def _metrics(self, accept: str) -> tuple[bytes, str]:
        self.accepted = accept
        return b"gateway_up 1\n", "text/plain; version=0.0.4"

    def _audit(self, event: str, **fields: object) -> None:
        self.events.append({"event": event} | {key: each for key, each in fields.items() if each is not None})

    async def _ready(self) -> Readiness:
        return Readiness(self.checks)

    async def _revoke(self, entries: list[DenyEntry], mandate) -> Acknowledgement:
        if self.fault is not None:
            raise self.fault
        self.written += entries
        self.mandates.append(mandate)
        return Acknowledgement(7, ["a:1"], [])

    async def __call__(self, method: str, path: str, body: bytes = b"", **headers: str):
        """Return status, fields and text of an answer; each is closed up."""
        async with self.session.request(method, path, data=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "aiohttp" not in answer.headers.get("Server", "")
            return answer.status, answer.headers, text

    async def revoke(self, body: bytes, **headers: str):
        """Ask for a revocation with the token."""
        return await self("POST", "/revoke", body, **({"Authorization": f"Bearer {TOKEN}"} | headers))

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self.admin.close()


async def test_metrics_and_health_need_no_token():
    """Whoever reaches the listener may read metrics and health."""
    async with Asked() as ask:
        status, headers, text = await ask("GET", "/metrics")
        assert (status, text) == (200, "gateway_up 1\n")
        assert headers["Content-Type"] == "text/plain; version=0.0.4"
        assert json.loads((await ask("GET", "/livez"))[2]) == {"status": "alive"}
        status, _, text = await ask("GET", "/readyz")
        assert (status, json.loads(text)) == (200, {"status": "ready", "checks": {"store": "ok"}})
        assert (await ask("HEAD", "/readyz"))[0] == 200


async def test_not_ready_says_what_is_wrong():
    """503 with Retry-After and each check by name; liveness is another question."""
    async with Asked(checks={"store": "the store does not answer", "denylist": None}) as ask:
        status, headers, text = await ask("GET", "/readyz")
        assert status == 503
        assert headers["Retry-After"] == "5"
        assert json.loads(text)["checks"] == {"store": "the store does not answer", "denylist": "ok"}
        assert (await ask("GET", "/livez"))[0] == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é",
    ],
)
async def test_a_change_needs_the_token(authorization):
    """401 for anything but the very token as a bearer token; nothing is written, nothing is repeated."""
    async with Asked() as ask:
        headers = {"Authorization": authorization} if authorization is not None else {"Authorization": ""}
        status, sent, text = await ask("POST", "/revoke", b'{"sub":"alice"}', **headers)
        assert status == 401
        assert sent["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in text
        assert not ask.written


@pytest.mark.parametrize("token", [None, ""])
async def test_without_a_token_nothing_can_be_changed(token):
    """Empty never means allow: no token configured is 403 with a hint, also for an empty bearer token."""
    async with Asked(token=token) as ask:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
            status, _, text = await ask("POST", "/revoke", b'{"sub":"alice"}', **headers)
            assert status == 403
            assert "admin.token" in text
        assert not ask.written


async def test_a_web_page_may_not_change_anything():
    """A change that carries an Origin comes from a page, and is refused even with the token."""
    async with Asked() as ask:
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{ask.admin.port}"):
            assert (await ask.revoke(b'{"sub":"alice"}', Origin=origin))[0] == 403
        assert not ask.written


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9090", 200),
        ("10.1.2.3", 200),
        ("[::1]:9090", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("gateway:9090", 200),
        ("gateway.default.svc:9090", 200),
        ("gateway.default.svc.cluster.local.", 200),
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("evil.svc.example", 421),
        ("", 421),
        (":9090", 421),
        ("[evil.example]", 421),
    ],
)
async def test_a_foreign_host_is_refused(host: str, status: int):
    """DNS rebinding: a name that a stranger can own is refused, for reading and for changing."""
    async with Asked() as ask:
        assert (await ask("GET", "/metrics", Host=host))[0] == status
        assert (await ask.revoke(b'{"sub":"alice"}', Host=host))[0] == status
        assert bool(ask.written) == (status == 200)


async def test_names_of_ones_own_are_a_setting():
    """[4.6] A Host that the configuration names is answered, with any port and in any case; no other is."""
    async with Asked() as ask:
        assert (await ask("GET", "/metrics", Host="gateway-admin.example.com"))[0] == 421
        settings = AdminSettings(token=SecretStr(TOKEN), hosts=("Gateway-Admin.example.com",))
        ask.admin.configure(settings, Terms({}, 60.0, 60.0))
        for host in ("gateway-admin.example.com", "GATEWAY-admin.example.com:9090"):
            assert (await ask("GET", "/metrics", Host=host))[0] == 200
        for host in (
            "x.gateway-admin.example.com",
            "admin.example.com",
            "gateway-admin.example.com.evil.example",
        ):
            assert (await ask("GET", "/metrics", Host=host))[0] == 421


async def test_paths_and_methods():
    """404 and 405 as problem documents that say what there is; nothing but POST changes anything."""
    async with Asked() as ask:
        for path in ("/", "/metrics/", "/revoke/x", "/admin"):
            status, headers, text = await ask("GET", path)
            assert status == 404
            assert headers["Content-Type"].startswith("application/problem+json")
            assert "/metrics" in json.loads(text)["detail"]
        status, headers, _ = await ask("GET", "/revoke?sub=alice", Authorization=f"Bearer {TOKEN}")
        assert (status, headers["Allow"]) == (405, "POST")
        assert (await ask("DELETE", "/metrics"))[0] == 405
        assert not ask.written


async def test_a_revocation_is_answered_with_who_knows_of_it():
    """R44: the entry that was asked for, and the workers that hold it."""
    async with Asked() as ask:
        status, _, text = await ask.revoke(b'{"sub":"alice","reason":"left the company"}')
        assert status == 200
        document = json.loads(text)
        assert document["acknowledged"] == ["a:1"]
        assert document["missing"] == []
        assert document["seq"] == 7
        assert ask.written == [DenyEntry("sub", "https://one.example", "alice", NOW, NOW + LIFE, AS_WRITTEN)]
        assert ask.mandates == [
            {"reason": "left the company", "client": "127.0.0.1", "actor": "token", "actor_by": "token"}
        ]


@pytest.mark.parametrize("note", ["", 1, [], {}, True, "x" * 1025], ids=repr)
@pytest.mark.parametrize("name", ["reason", "actor"])
async def test_notes_are_short_texts(name: str, note):
    """[4.7] Garbage in a note is refused, with nothing done; null is none."""
    async with Asked() as ask:
        status, *_ = await ask.revoke(json.dumps({"sub": "alice", name: note}).encode())
        assert (status, ask.written) == (400, [])
        assert (await ask.revoke(json.dumps({"sub": "alice", name: None}).encode()))[0] == 200
        assert ask.mandates == [{"client": "127.0.0.1", "actor": "token", "actor_by": "token"}]


async def test_a_store_that_is_down():
    """The caller is told that it is not certain, with Retry-After, and not why in the store's words."""
    async with Asked(fault=Fault("store", Reason.STORE_UNAVAILABLE, "redis://secret", 2.5)) as ask:
        status, headers, text = await ask.revoke(b'{"sub":"alice"}')
        assert status == 503
        assert headers["Retry-After"] == "3"
        assert "store_unavailable" in text
        assert "secret" not in text


async def test_an_error_of_our_own_shows_its_type_alone():
    """500 as a problem document, with neither text nor traceback."""
    async with Asked(fault=ValueError("secret")) as ask:
        status, _, text = await ask.revoke(b'{"sub":"alice"}')
        assert status == 500
        assert json.loads(text)["detail"] == "Something failed inside the gateway: ValueError."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 10_000,
        b'{"a":' * 2000,
        b'"sub"',
        b'{"sub":""}',
        b'{"sub":1}',
        b'{"sub":null}',
        b'{"sub":["a"]}',
        b'{"sub":{"a":1}}',
        b'{"nope":"x"}',
        b'{"sub":"a","jti":"b"}',
        b'{"sub":"a","sub":"b"}',
        b'{"sub":"a","nope":1}',
        b'{"sub":"\\ud800"}',
        b'{"all":1}',
        b'{"all":false}',
        b'{"all":"true"}',
        b'{"all":null}',
        b'{"sub":"a","all":true}',
        b'{"sub":"a","before":"now"}',
        b'{"sub":"a","before":true}',
        b'{"sub":"a","before":-1}',
        b'{"sub":"a","before":NaN}',
        b'{"sub":"a","before":1e999}',
        b'{"sub":"a","before":1700000000000}',
        b'{"sub":"a","before":null}',
        b'{"sub":"a","before":' + b"9" * 5000 + b"}",
        b'{"sub":"a","provider":"nobody"}',
        b'{"sub":"a","provider":1}',
        b'{"sub":"a","provider":""}',
        b'{"session":"a","provider":"one"}',
        b'{"sub":"a","reason":1}',
        b'{"sub":"a","reason":""}',
        b'{"sub":"' + b"a" * 1025 + b'"}',
        b'{"sub":"a","reason":"' + b"a" * 1025 + b'"}',
    ],
)
async def test_garbage_revokes_nothing(body: bytes):
    """Anything but one well-formed entry is 400 with an explanation that repeats no value."""
    async with Asked() as ask:
        status, headers, text = await ask.revoke(body)
        assert status == 400
        assert headers["Content-Type"].startswith("application/problem+json")
        assert json.loads(text)["detail"]
        assert not ask.written


async def test_r16_an_unreadable_request_is_not_repeated_in_the_log(capfd, caplog):
    """R16: what cannot be read may hold the token; the log gets neither that nor a line that is not ours."""
    async with Asked() as admin:
        for fields in (
            b"Authorization: Bearer secret\0\r\n",
            b"Content-Length: 1\r\nTransfer-Encoding: secret\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", admin.admin.port)
            writer.write(b"GET /sessions HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


async def raw(ask: Asked, data: bytes) -> bytes:
    """Send bytes, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ask.admin.port)
    try:
        writer.write(data)
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


AUTHORIZED = b"HTTP/1.%b\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
HALF = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX"


async def test_r60_half_sent_heads_stop_nobody():
    """R60 [2.34]: they end by the time-out for heads, as outside, and others are answered meanwhile."""
    async with Asked(limits=Limits(head_timeout=0.3)) as ask:
        halves = [asyncio.create_task(raw(ask, HALF)) for _ in range(250)]
        await asyncio.sleep(0)
        for _ in range(5):
            assert (await ask("GET", "/livez"))[0] == 200
        for answer in await asyncio.gather(*halves):
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 3000 + b"\r\n\r\n", b"431"),
        (b"GET /livez HTTP/1.1\r\nX: " + b"y" * 3000, b"431"),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20 + b"\r\n", b"431"),
        (b"POST /revoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{", b"401"),
        (b"POST /revoke " + AUTHORIZED % b"1" + b"Host: h\r\nContent-Length: 9\r\n\r\n{", b"408"),
        (b"", b""),
    ],
)
async def test_r60_the_limits_are_those_of_outside(data: bytes, status: bytes):
    """R60 [2.34]: size and number of fields, silence in a body, idle connections."""
    limits = Limits(head=2048, fields=10, body_timeout=0.2, idle_timeout=0.2)
    async with Asked(limits=limits) as ask:
        assert (await raw(ask, data))[9:12] == status
        assert not ask.written


async def test_r60_connections_are_bounded():
    """R60 [2.34]: who has too many open is turned away, and a reload sets other bounds."""
    async with Asked(limits=Limits(connections=3, head_timeout=5)) as ask:
        held = []
        open_here = ask.admin._server._server._connections
        for count in range(3):
            held.append(await asyncio.open_connection("127.0.0.1", ask.admin.port))
            held[-1][1].write(HALF)
            async with asyncio.timeout(20):
                # idle ones would make room
                while sum(not each.idle for each in open_here) <= count:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.005)
        assert (await raw(ask, b"GET /livez HTTP/1.0\r\n\r\n"))[9:12] == b"503"
        ask.admin.configure(AdminSettings(token=SecretStr(TOKEN)), Terms({}, 60.0, 60.0), Limits())
        assert (await ask("GET", "/livez"))[0] == 200
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/readyz?verbose"])
async def test_balancers_ask_without_a_host(path: bytes):
    """[3.8]: HTTP/1.0 without Host is answered where health is asked, and nowhere else."""
    async with Asked() as ask:
        for method in (b"GET", b"HEAD"):
            assert (await raw(ask, method + b" " + path + b" HTTP/1.0\r\n\r\n"))[9:12] == b"200"
        assert (await raw(ask, b"GET " + path + b" HTTP/1.1\r\n\r\n"))[9:12] == b"421"
        for other in (b"/metrics", b"/sessions", b"/", b"/livez/", b"//livez"):
            assert (await raw(ask, b"GET " + other + b" HTTP/1.0\r\n\r\n"))[9:12] == b"421"
        change = b"POST /revoke " + AUTHORIZED % b"0" + b"Content-Length: 15\r\n\r\n"
        assert (await raw(ask, change + b'{"sub":"alice"}'))[9:12] == b"421"
        assert not ask.written


async def test_targets_of_every_kind():
    """404 for whatever is no path of ours, OPTIONS * too; a session's id may be percent-encoded."""
    async with Asked() as ask:
        for line in (b"OPTIONS *", b"GET /metrics/x", b"GET /livez/x/y", b"GET /%6divez"):
            answer = await raw(ask, line + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert answer[9:12] == b"404", line
        answer = await raw(ask, b"GET /sessions?" + b"a&" * 200 + b" HTTP/1.0\r\nHost: h\r\n\r\n")
        assert answer[9:12] == b"401"


async def test_a_huge_body_is_refused():
    """The body is bounded."""
    async with Asked() as ask:
        assert (await ask.revoke(b" " * (MOST_BODY + 1)))[0] == 413
        assert not ask.written


def parse(body: bytes, issuers: dict[str, str] = ISSUERS) -> DenyEntry:
    entry, _ = parse_revocation(body, MOST_BODY, terms=Terms(issuers, LIFE, IDLE), now=NOW)
    return entry


END = NOW + LIFE


@pytest.mark.parametrize(
    ("body", "entry"),
    [
        (b'{"sub":"a","provider":"two"}', DenyEntry("sub", TWO, "a", NOW, END, AS_WRITTEN)),
        (b'{"sid":"a","provider":"one"}', DenyEntry("sid", ISSUERS["one"], "a", NOW, END, AS_WRITTEN)),
        (b'{"jti":"a","provider":"one"}', DenyEntry("jti", ISSUERS["one"], "a", END, END + LIFE)),
        (b'{"session":"a"}', DenyEntry("session", "", "a", END, (NOW + IDLE + 60) // 30 * 30)),
        (b'{"all":true}', DenyEntry("all", "", "", NOW, END, AS_WRITTEN)),
        (b'{"all":true,"provider":"two"}', DenyEntry("all", ISSUERS["two"], "", NOW, END, AS_WRITTEN)),
        (b'{"sub":"a","provider":"two","before":1600000000}', DenyEntry("sub", TWO, "a", 1.6e9, END)),
        (
            b'{"jti":"a","provider":"two","before":1700000000.5}',
            DenyEntry("jti", TWO, "a", NOW + 0.5, END + 0.5),
        ),
        (
            b'{"sub":"a","provider":"two","before":1700000100}',
            DenyEntry("sub", TWO, "a", NOW + 100, END + 100),
        ),
    ],
)
def test_entries(body: bytes, entry: DenyEntry):
    """Each kind with its issuer, bound and expiry; an entry outlives what it names."""
    assert parse(body) == entry


def test_several_providers_must_be_told_apart():
    """R26: a subject without its issuer names nobody; with one provider there is nothing to ask."""
    for kind in ("jti", "sid", "sub"):
        body = json.dumps({kind: "a"}).encode()
        with pytest.raises(Refused, match="several providers"):
            parse(body)
        assert parse(body, {"one": ISSUERS["one"]}).issuer == ISSUERS["one"]


@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["jti", "sid", "sub", "session", "all", "provider", "before", "reason", "x"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["one", True]),
        max_size=4,
    ).map(lambda fields: json.dumps(fields).encode())
)
def test_any_body_is_an_entry_or_refused(body):
    """Whatever comes: one sound entry, or Refused; no other error."""
    try:
        entry = parse(body)
    except Refused:
        return
    assert bool(entry.value) == (entry.kind != "all")
    if entry.kind == "session":
        # it need not outlive the session, which cannot idle for so long
        assert NOW < entry.expires <= entry.before
    else:
        assert entry.before <= entry.expires
        assert entry.expires >= NOW + LIFE
    assert entry.issuer in ("", *ISSUERS.values())
