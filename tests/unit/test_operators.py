"""Named admin tokens: who is let in to do what, what is refused, and what the audit log tells of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config.settings.admin import AdminSettings, AdminTokenSettings
from gateway.edge.admin.operators import Operator, Tokens
from gateway.edge.admin.revocation_request import Terms
from gateway.edge.admin.sessions import Answer
from gateway.edge.configfile.token_dates import warn_token_dates
from tests.unit.test_admin import ISSUERS, LIFE, NOW, TOKEN, Asked
from tests.unit.test_config import with_changes

READER, REVOKER, OWNER, OLD = (f"{name}-0123456789abcdefghij" for name in ("read", "revo", "all-", "old-"))


def named(token: str, role: str, expires: str | None = None) -> AdminTokenSettings:
    return AdminTokenSettings(token=SecretStr(token), role=role, expires=expires)


TOKENS = {
    "rita": named(READER, "read"),
    "rob": named(REVOKER, "revoke"),
    "olga": named(OWNER, "all", "2023-11-14T22:13:21Z"),
    "olaf": named(OLD, "all", "2023-11-14T22:13:20Z"),
}
CHANGES = [
    ("POST", "/revoke", b'{"sub":"alice"}', "revoke"),
    ("DELETE", "/sessions?sub=alice", b"", "revoke"),
    ("DELETE", "/sessions/abc", b"", "revoke"),
    ("DELETE", "/keys/abcdefghijklmnop", b"", "revoke"),
    ("POST", "/keys", b"{}", "all"),
    ("POST", "/reload", b"", "all"),
]
LOOKS = [
    ("GET", "/sessions", b"", "read"),
    ("HEAD", "/sessions", b"", "read"),
    ("GET", "/sessions/abc", b"", "read"),
    ("GET", "/keys", b"", "read"),
    ("POST", "/explain", b"{}", "read"),
]


class Whole(Asked):
    """An admin listener that can do everything, and notes what it was asked."""

    async def __aenter__(self):
        asked = await super().__aenter__()
        self.done: list[tuple[str, dict[str, str]]] = []
        admin = self.admin
        admin._sessions = self._do
        admin._keys = self._do
        admin._explain = self._told
        admin._reload = self._reloaded
        return asked

    async def _do(self, action, fields, mandate):
        self.done.append((action, mandate))
        return Answer(200, {"did": action})

    async def _told(self, fields):
        self.done.append(("explain", {}))
        return Answer(200, {})

    async def _reloaded(self, mandate):
        from gateway.edge.admin.listener import Reloaded

        self.done.append(("reload", mandate))
        return Reloaded()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def guarded(ask: Asked) -> list[tuple[str, str, str]]:
    """Return method, path and role of every route that is not open."""
    return [
        (method, path, route.role)
        for path, methods in ask.admin._routes.routes.items()
        for method, route in methods.items()
        if hasattr(route, "role")
    ]


async def test_each_role_may_what_it_may_and_no_more():
    """R91 [12.admin] Every route that is not open, with every role: let in, or 403 and what is needed."""
    ranks = {"read": 0, "revoke": 1, "all": 2}
    async with Whole(tokens=TOKENS) as ask:
        known = {(method, path.partition("?")[0]): role for method, path, _, role in CHANGES + LOOKS}
        for method, path, needed in guarded(ask):
            shown = path.replace("/keys/{id}", "/keys/abcdefghijklmnop").replace("{id}", "abc")
            assert known.get((method, shown), needed) == needed
            # whoever only looks changes nothing
            assert needed != "read" or method == "GET" or path == "/explain"
            for token, role in ((READER, "read"), (REVOKER, "revoke"), (OWNER, "all"), (TOKEN, "all")):
                before = len(ask.done) + len(ask.written)
                status, sent, text = await ask(method, shown, b"", **bearer(token))
                if ranks[role] >= ranks[needed]:
                    assert status not in (401, 403), (path, role)
                    continue
                assert (status, len(ask.done) + len(ask.written)) == (403, before), (path, role)
                assert f'error="insufficient_scope", scope="{needed}"' in sent["WWW-Authenticate"]
                assert needed in json.loads(text)["detail"]
                assert token not in text


@pytest.mark.parametrize("method_path", [*CHANGES, *LOOKS], ids=lambda each: " ".join(each[:2]))
async def test_whoever_may_is_answered(method_path):
    """[12.admin] With a role that is just enough it is done, once."""
    method, path, body, role = method_path
    token = {"read": READER, "revoke": REVOKER, "all": OWNER}[role]
    async with Whole(tokens=TOKENS) as ask:
        assert (await ask(method, path, body, **bearer(token)))[0] == 200
        assert len(ask.done) + len(ask.written) == 1


async def test_without_a_good_token_nothing_is_told_or_done():
    """R91 [12.admin] Missing, unknown, empty, expired, of another scheme: 401 everywhere, and a challenge."""
    async with Whole(tokens=TOKENS) as ask:
        for method, path, _ in guarded(ask):
            for headers in (
                {},
                bearer(""),
                bearer("x" * 30),
                bearer(OLD),
                {"Authorization": f"Basic {TOKEN}"},
            ):
                status, sent, text = await ask(method, path, b"", **headers)
                assert status == 401
                assert sent["WWW-Authenticate"].startswith('Bearer realm="gateway admin"')
                is_token = headers not in ({}, bearer("")) and "Basic" not in headers["Authorization"]
                assert ('error="invalid_token"' in sent["WWW-Authenticate"]) == is_token
                assert not any(name in text for name in TOKENS)
        assert (ask.done, ask.written) == ([], [])


async def test_the_actor_is_the_token_and_not_what_is_said():
    """R91 [12.admin] Whatever a caller says of itself is on_behalf_of; the actor cannot be forged."""
    async with Whole(tokens=TOKENS) as ask:
        body = json.dumps({"sub": "alice", "actor": "olga", "reason": "left"}).encode()
        assert (await ask("POST", "/revoke", body, **bearer(REVOKER)))[0] == 200
        recognised = {"actor": "rob", "actor_by": "token", "client": "127.0.0.1"}
        assert ask.mandates == [recognised | {"reason": "left", "on_behalf_of": "olga"}]
        for name in ("on_behalf_of", "actor_by", "client"):
            body = json.dumps({"sub": "alice", name: "olga"}).encode()
            assert (await ask("POST", "/revoke", body, **bearer(REVOKER)))[0] == 400
            path = f"/sessions?sub=alice&{name}=olga&actor=olga&reason=r"
            await ask("DELETE", path, **bearer(REVOKER))
            _, mandate = ask.done.pop()
            assert mandate == recognised | {"reason": "r", "on_behalf_of": "olga"}
        await ask("POST", "/reload", b'{"actor":"rob"}', **bearer(OWNER))
        assert ask.done.pop()[1] == recognised | {"actor": "olga", "on_behalf_of": "rob"}
        await ask("DELETE", "/keys/abcdefghijklmnop?actor=olga", **bearer(REVOKER))
        assert ask.done.pop()[1] == recognised | {"on_behalf_of": "olga"}


async def test_refusals_are_audited_within_bounds():
    """[12.admin] Who was refused, where and why; a flood of one address is counted, not told line by line."""
    async with Whole(tokens=TOKENS) as ask:
        common = {"event": "admin_refused", "client": "127.0.0.1"}
        reload = common | {"method": "POST", "endpoint": "/reload"}
        for headers, expected in (
            ({}, {"why": "no_token"}),
            (bearer("x" * 30), {"why": "unknown_token"}),
            (bearer(OLD), {"why": "expired_token", "actor": "olaf", "actor_by": "token"}),
            (bearer(REVOKER), {"why": "role", "actor": "rob", "actor_by": "token"}),
            (bearer(OWNER) | {"Origin": "https://evil.example"}, {"why": "origin"}),
            (bearer(OWNER) | {"Host": "evil.example"}, {"why": "host", "endpoint": "-"}),
        ):
            await ask("POST", "/reload", b"", **headers)
            assert ask.events.pop() == reload | expected
        await ask("POST", "/revoke", b"{}", **bearer(REVOKER))
        assert ask.events.pop() == common | {
            "why": "not_done",
            "method": "POST",
            "endpoint": "/revoke",
            "status": 400,
            "actor": "rob",
            "actor_by": "token",
        }
        assert ask.events == []
        for number in range(100):
            await ask("GET", f"/sessions/{number}", **bearer(f"unknown-{number:020}"))
        assert 13 <= len(ask.events) < 20
        assert not any("unknown-" in str(each) for each in ask.events)
        entrance = ask.admin.entrance
        entrance._monotonic = lambda real=entrance._monotonic: real() + 60
        await ask("GET", "/sessions", **bearer("x" * 30))
        assert ask.events[-1]["untold"] == 100 - len(ask.events) + 1


async def test_a_reload_takes_tokens_over():
    """[12.admin] What is gone is refused at once, what is new counts at once."""
    async with Whole(token=None, tokens={"rita": TOKENS["rita"]}) as ask:
        assert (await ask("GET", "/keys", **bearer(READER)))[0] == 200
        settings = AdminSettings(tokens={"rob": TOKENS["rob"]})
        ask.admin.configure(settings, Terms(ISSUERS, LIFE, 60.0))
        assert (await ask("GET", "/keys", **bearer(READER)))[0] == 401
        assert (await ask("GET", "/keys", **bearer(REVOKER)))[0] == 200


def test_tokens_are_all_compared_and_kept_as_digests(monkeypatch):
    """[12.admin] Each with every one, whatever is presented; no secret stays in memory as it is written."""
    tokens, compared = Tokens(), []
    tokens.configure(AdminSettings(token=SecretStr(TOKEN), tokens=TOKENS))
    import hmac

    real = hmac.compare_digest
    monkeypatch.setattr(
        "gateway.edge.admin.operators.hmac.compare_digest", lambda *both: compared.append(both) or real(*both)
    )
    for secret in (TOKEN, READER, OLD, "nothing", ""):
        compared.clear()
        held = tokens.find(secret.encode())
        assert len(compared) == 5
        assert (held is None) == (secret in ("nothing", ""))
    assert READER not in repr(tokens._held)
    held = tokens.find(READER.encode())
    assert held is not None
    assert tokens.current(held, NOW) == Operator("rita", "read")
    tokens.configure(AdminSettings(tokens={"rita": named(READER, "all")}))
    assert tokens.current(held, NOW) == Operator("rita", "all")
    tokens.configure(AdminSettings(tokens={"eve": named(READER, "all"), "rita": named(OLD, "all")}))
    assert tokens.current(held, NOW) is None


def test_dates_of_tokens_are_warned_of():
    """[12.admin] Those that have expired, and those that will within 14 days; a good one is not named."""
    tokens = {
        "fine": {"token": READER, "role": "read", "expires": "2023-12-01"},
        "soon": {"token": REVOKER, "role": "read", "expires": "2023-11-20"},
        "over": {"token": OLD, "role": "read", "expires": "2023-11-01"},
    }
    found = list(warn_token_dates(with_changes({"admin/tokens": tokens}), NOW))
    assert [str(each).partition(" 0")[0] for each in found] == [
        "admin.tokens.soon.expires: this token expires on 2023-11-20",
        "admin.tokens.over.expires: this token expired on 2023-11-01",
    ]


def test_check_tells_the_line_of_a_token_that_ends(tmp_path):
    """[12.admin] ``gateway check`` and each start read the file itself, secrets from elsewhere included."""
    from gateway.edge.configfile.load import load

    (tmp_path / "rita").write_text(READER)
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "public_url: https://app.example.com\n"
        "secret_keys: [Wm8dQh5sE1cP0nJ6yTfLr2VxKaUoBgZiMv4RtH9pXkA=]\n"
        "providers:\n"
        "  one: {issuer: https://login.example.com, client_id: app, client_secret: x, audiences: [a]}\n"
        "upstreams: {app: {servers: [http://127.0.0.1:3000]}}\n"
        "routes: [{path: /, upstream: app, access: required}]\n"
        "admin:\n"
        "  tokens:\n"
        "    rita: {token: '${file:rita}', role: read, expires: 2020-01-01}\n"
    )
    loaded = load(path)
    (told,) = [each for each in loaded.warnings if each.path[0] == "admin"]
    assert (told.line, str(told)) == (
        9,
        "admin.tokens.rita.expires: this token expired on 2020-01-01 00:00 UTC: it is refused",
    )
    assert READER not in repr(loaded)


@given(
    st.lists(st.binary(max_size=80), max_size=3), st.sampled_from([b"", b"Bearer ", b"bEARER  ", b"Basic "])
)
def test_no_other_bytes_are_a_token(fields: list[bytes], scheme: bytes):
    """[12.admin] Whatever a client sends: only the very token, alone, as a bearer token."""
    from gateway.edge.admin.operators import _presented

    tokens = Tokens()
    tokens.configure(AdminSettings(tokens=TOKENS))
    sent = [scheme + each for each in fields]
    assert tokens.find(_presented(sent)) is None
    good = scheme + READER.encode()
    assert (tokens.find(_presented([good])) is not None) == scheme.lower().startswith(b"bearer")
    assert not sent or tokens.find(_presented([good, *sent])) is None


@pytest.mark.parametrize("token", ["0123456789abcdef", "a" * 40, "abcabcabcabcabcabcabcabc"])
def test_weak_tokens_are_warned_of(token: str):
    """[12.admin] Short, or of few characters: it can be guessed; no warning repeats it."""
    from gateway.config.checks.every import warn

    for changes, path in (
        ({"admin/token": token}, ("admin", "token")),
        ({"admin/tokens": {"bob": {"token": token, "role": "read"}}}, ("admin", "tokens", "bob", "token")),
    ):
        (found,) = warn(with_changes(changes))
        assert found.path == path
        assert token not in str(found)
