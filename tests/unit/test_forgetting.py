"""Nothing of a person is remembered once it was judged that they are over, whichever way that came."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.access.forgetting import sweep
from gateway.core.identity import Identity
from gateway.core.rules.entries import DenyEntry
from gateway.syntax.api_keys import id_of
from tests.support.conversations import API_KEY, Side, State, bearer_line, keys, session_line
from tests.support.held_facts import is_held
from tests.support.pure import ISSUER, NOW

OK = b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n"
TOKEN = bearer_line(sub="mallory-the-named", jti="jti-of-hers", exp=NOW + 100)
COOKIE = session_line("dorothy-the-named", 50)
KEY = f"X-API-Key: {API_KEY}".encode()
WHO = {
    "token": (TOKEN, "mallory-the-named"),
    "session": (COOKIE, "dorothy-the-named"),
    "key": (KEY, "robot"),
}


def ask(side: Side, line: bytes, target: str = "/x", method: str = "GET", *more: bytes) -> int:
    """Ask for a page; return the status."""
    head = [f"{method} {target} HTTP/1.1".encode(), b"Host: app.example.com", line, *more, b"", b""]
    told = asyncio.run(side.hear(1, "192.0.2.1", True, b"\r\n".join(head), OK))[0]
    return int(told.split(b" ")[1])


def held(side: Side, line: bytes, name: str) -> bool:
    """Tell whether anything of somebody is remembered: the name, the token, or the sealed cookie."""
    return is_held(side.pipeline.knowledge, name, line.partition(b"=")[2][:60] or line, line[-60:])


def known(kind: str) -> tuple[Side, bytes, str]:
    """Return a data plane that remembers somebody."""
    line, name = WHO[kind]
    side = Side(State(), remembers=True)
    for _ in range(3):
        assert ask(side, line) == 200
    assert held(side, line, name)
    return side, line, name


def expire(side: Side, _kind: str) -> None:
    """Let time pass, the replica being in step."""
    side.state.now = side.denylist.synchronised_at = NOW + 150


def revoke(entry: str) -> Callable[[Side, str], None]:
    """Revoke by a kind of entry."""

    def happen(side: Side, kind: str) -> None:
        issuer = "" if entry in ("session", "key", "all") else ISSUER
        value = {
            "sub": WHO[kind][1],
            "jti": "jti-of-hers",
            "session": "dorothy-the-named050",
            "key": id_of(API_KEY),
        }.get(entry, "")
        value = "sid-dorothy-the-named" if entry == "sid" else value
        side.denylist.add(DenyEntry(entry, issuer, value, NOW + 10, NOW + 1000))  # type: ignore[arg-type]

    return happen


ENDS: list[Any] = [
    pytest.param("token", expire, id="token-expired"),
    pytest.param("session", expire, id="session-expired"),
    pytest.param("key", expire, id="key-expired"),
    *(pytest.param("key", revoke(each), id=f"key-{each}") for each in ("key", "all")),
    *(pytest.param("token", revoke(each), id=f"token-{each}") for each in ("jti", "sub", "all")),
    *(
        pytest.param("session", revoke(each), id=f"session-{each}")
        for each in ("session", "sid", "sub", "all")
    ),
]


@pytest.mark.parametrize(("kind", "happen"), ENDS)
@pytest.mark.parametrize("target", ["/x", "/optional/x", "/auth/userinfo"])
def test_whoever_was_judged_to_be_over_is_forgotten(kind: str, happen: Any, target: str):
    """R44 [10.hold.3]: expired, revoked, logged out: with the answer that says so nothing of them is left."""
    if kind != "session" and target == "/auth/userinfo":
        pytest.skip("it asks for sessions alone")
    side, line, name = known(kind)
    happen(side, kind)
    status = ask(side, line, target)
    assert status == (200 if kind == "session" and "optional" in target else 401)
    assert not held(side, line, name)


@pytest.mark.parametrize(("kind", "happen"), ENDS)
def test_whoever_does_not_come_again_is_swept_out(kind: str, happen: Any):
    """[10.hold.3]: the sweep finds what has expired or was revoked, and leaves everybody else."""
    side, line, name = known(kind)
    other = session_line("alice", 500)
    for _ in range(3):
        assert ask(side, other) == 200
    happen(side, kind)
    assert held(side, line, name)
    sweep(side.pipeline.knowledge, side.state.now, is_news=True)
    assert not held(side, line, name)
    assert held(side, other, "alice") is not bool(side.denylist._everybody)


def test_a_session_that_is_over_goes_though_a_token_came_with_it():
    """[10.hold.3]: judged beside a token, it is forgotten; the token is not."""
    side, line, name = known("session")
    for _ in range(3):
        assert ask(side, TOKEN) == 200
    revoke("session")(side, "session")
    assert ask(side, line, "/x", "GET", TOKEN) == 200
    assert not held(side, line, name)
    assert held(side, *WHO["token"])


@pytest.mark.parametrize("kind", list(WHO))
def test_who_is_forgotten_waits_for_no_collector(kind: str):
    """[10.hold.3]: nothing leads from a fact back to what remembers it."""

    def alive(name: str) -> int:
        return sum(isinstance(each, Identity) and each.subject == name for each in gc.get_objects())

    side, _, name = known(kind)
    gc.collect()
    assert alive(name) > 0
    gc.disable()
    try:
        expire(side, kind)
        sweep(side.pipeline.knowledge, side.state.now, is_news=True)
        # the last request on the connection may be known to it still
        side.connections.clear()
        assert alive(name) == 0
    finally:
        gc.enable()


def test_whoever_logs_out_is_forgotten():
    """R43 [10.hold.3]: with the answer to the logout already."""
    side, line, name = known("session")
    assert ask(side, line, "/auth/logout", "POST", b"Origin: https://app.example.com") == 200
    assert not held(side, line, name)
    assert ask(side, line) == 401


@pytest.mark.parametrize("kind", list(WHO))
def test_a_reload_forgets_everybody(kind: str):
    """[10.hold.3]: the same configuration, read again, begins with nothing."""
    side, line, name = known(kind)
    side.reload(0)
    assert not held(side, line, name)
    assert ask(side, line) == 200


def test_after_a_rotation_of_keys_a_token_is_verified_anew():
    """R27 [10.hold.3]: by the new set, though the key is in it still; and is forgotten where it is not."""
    side, line, name = known("token")
    table = side.pipeline.knowledge.runtime.rules.request_lines
    before = table[line].found.verified
    side.state.keys["corporate"] = keys("first")
    assert ask(side, line) == 200
    after = table[line].found.verified
    assert before[0] is keys("both")
    assert after[0] is keys("first")
    assert after[1] is not before[1]
    side.state.keys["corporate"] = keys("second")
    assert ask(side, line) == 401
    assert not held(side, line, name)


def test_the_sweep_drops_what_older_keys_have_verified():
    """[10.hold.3]: nobody has to come again for that."""
    side, line, name = known("token")
    side.state.keys["corporate"] = keys("first")
    sweep(side.pipeline.knowledge, NOW, is_news=False)
    assert not held(side, line, name)
