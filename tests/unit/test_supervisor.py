"""The supervisor's parts: the control channel, what travels on it, sockets and slots."""

import asyncio
import json
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config.changes import changed_sections, needs_restart
from gateway.config.settings.logs import LogSettings
from gateway.config.settings.root import Settings
from gateway.core.rules.entries import DenyEntry
from gateway.edge.telemetry.logs import Logs
from gateway.supervision import slot as slots
from gateway.supervision import supervisor
from gateway.supervision.channel import MOST_FRAME, Caller, Channel, Gone, Refused
from gateway.supervision.messages import decode_entries, decode_settings, encode_entries, encode_settings
from gateway.supervision.slot import Slot
from gateway.supervision.sockets import bind
from tests.support.configuration import KEY
from tests.support.store import eventually


def settings_of(**override: object) -> Settings:
    """Return the least settings with others put over them."""
    least = {
        "public_url": "http://localhost:8080",
        "secret_keys": [KEY],
        "providers": {"one": {"issuer": "https://one.example", "client_id": "c", "audiences": ["a"]}},
        "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
        "routes": [{"path": "/", "upstream": "app", "access": "public"}],
    }
    return Settings.model_validate(least | override)


async def pair() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair()
    return await Channel.open(ours), await Channel.open(theirs)


async def test_answers_find_their_questions():
    """Answers may come in any order; a refusal is told apart from a result."""
    ours, theirs = await pair()
    caller = Caller(ours)
    asked = [asyncio.create_task(caller.call(order, 5, n=order)) for order in ("a", "b", "c")]
    questions = [await theirs.receive() for _ in asked]
    theirs.send({"id": questions[2]["id"], "result": [1]})
    theirs.send({"id": questions[0]["id"], "error": {"kind": "OSError", "text": "no"}})
    theirs.send({"id": questions[1]["id"], "result": None})
    theirs.send({"id": 999, "result": "nobody asked"})
    assert await asked[2] == [1]
    assert await asked[1] is None
    with pytest.raises(Refused, match="no") as refused:
        await asked[0]
    assert refused.value.kind == "OSError"
    theirs.close()
    await caller.close()


async def test_the_end_of_the_other_process_ends_every_call():
    """Whoever waits learns at once that there will be no answer, and so does whoever asks later."""
    ours, theirs = await pair()
    caller = Caller(ours)
    asked = asyncio.create_task(caller.call("a", 5))
    await theirs.receive()
    theirs.close()
    with pytest.raises(Gone):
        await asked
    with pytest.raises(Gone):
        await caller.call("b", 5)


async def test_silence_is_bounded():
    """A worker that hangs costs the caller no more than its patience."""
    ours, theirs = await pair()
    caller = Caller(ours)
    with pytest.raises(TimeoutError):
        await caller.call("a", 0.01)
    theirs.close()
    await caller.close()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0",
        struct.pack("!I", 5) + b"{",
        struct.pack("!I", 2) + b"[]",
        struct.pack("!I", 4) + b"null",
        struct.pack("!I", 3) + b"\xff\xfe\x00",
        struct.pack("!I", MOST_FRAME + 1),
        struct.pack("!I", 200_000) + b"[" * 200_000,
    ],
)
async def test_garbage_is_an_end(octets: bytes):
    """What is no frame of one JSON object ends the channel, whatever it is."""
    ours, theirs = socket.socketpair()
    channel = await Channel.open(ours)
    theirs.setblocking(False)
    sending = asyncio.get_running_loop().sock_sendall(theirs, octets)
    receiving = asyncio.create_task(channel.receive())
    await asyncio.gather(sending, return_exceptions=True)
    theirs.close()
    with pytest.raises(Gone):
        await receiving
    channel.close()


def test_settings_arrive_as_they_were_sent():
    """Every value, secrets included, is the same in the worker; the text of a secret is nowhere else."""
    sent = settings_of(
        workers="auto",
        redis={"url": "redis://:pass@127.0.0.1:6379/0"},
        admin={"token": "x" * 20},
        routes=[
            {
                "path": "/",
                "upstream": "app",
                "access": "required",
                "require": {"claims": {"a": True, "b": 1, "c": "1", "d": ["x", "y"]}, "max_age": "5m"},
                "preflight": {"origins": ["https://a.example"]},
            },
            {"path": "/p/", "upstream": "app", "access": "public", "preflight": "forward"},
        ],
    )
    arrived = decode_settings(json.loads(json.dumps(encode_settings(sent))))
    assert arrived == sent
    assert [type(value) for value in arrived.routes[0].require.claims.values()] == [bool, int, str, tuple]
    assert ":pass@" not in repr(arrived)


@given(
    st.lists(
        st.builds(
            DenyEntry,
            kind=st.sampled_from(["jti", "sid", "sub", "session", "all"]),
            issuer=st.text(),
            value=st.text(),
            before=st.floats(allow_nan=False),
            expires=st.floats(allow_nan=False),
        )
    )
)
@settings(max_examples=50)
def test_entries_arrive_as_they_were_sent(entries: list[DenyEntry]):
    """Denylist entries survive the channel."""
    assert decode_entries(json.loads(json.dumps(encode_entries(entries)))) == entries


@pytest.mark.parametrize("count", [1, 4])
def test_a_served_port_is_refused(count: int):
    """Slots share a port among themselves and with nobody else, not even one that would share it too."""
    taken = bind("127.0.0.1:0", count)
    port = taken[0][0].getsockname()[1]
    assert len(taken) == count
    assert {each.getsockname()[1] for sockets in taken for each in sockets} == {port}
    with pytest.raises(OSError, match="in use"):
        bind(f"127.0.0.1:{port}", 4)
    for each in (each for sockets in taken for each in sockets):
        each.close()
    for each in (each for sockets in bind(f"127.0.0.1:{port}", 2) for each in sockets):
        each.close()


class Ready:
    """What a worker is started with, at once."""

    async def orders(self):
        """Return nothing that matters to a worker that never starts."""
        return {"settings": {}, "store_url": None}


@pytest.mark.parametrize(
    ("boot", "why", "starts"),
    [
        ("raise SystemExit(3)", r"worker 7: it ended before it was ready \(exit code 3\)", 3),
        ("import os; os.kill(os.getpid(), 9)", r"worker 7: .*\(killed by SIGKILL\)", 3),
        (slots._BOOT, "worker 7: .*validation error", 1),
    ],
)
async def test_a_worker_that_never_becomes_ready(boot: str, why: str, starts: int, monkeypatch):
    """A crash is tried again some times, a refusal is not; then the start fails and says why."""
    monkeypatch.setattr(slots, "_BOOT", boot)
    monkeypatch.setattr(slots, "_FIRST_PAUSE", 0.001)
    retired = []
    slot = Slot(7, (), Ready(), Logs(LogSettings(), write=lambda _: None), retired.append)
    with pytest.raises(RuntimeError, match=why):
        await slot.first
    await slot.end()
    assert len(retired) == starts
    assert slot.pid is None
    with pytest.raises(Gone):
        await slot.call("status")


SILENT = """
import json, socket, struct, sys, time
end = socket.socket(fileno=int(sys.argv[1]))
(length,) = struct.unpack("!I", end.recv(4))
answer = json.dumps({"id": json.loads(end.recv(length))["id"], "result": {"worker_id": "w"}}).encode()
end.sendall(struct.pack("!I", len(answer)) + answer)
time.sleep(600)
"""


async def test_a_worker_that_never_answers_is_replaced(monkeypatch):
    """Ready once, then silent: after some questions without an answer it is killed and replaced."""
    monkeypatch.setattr(slots, "_BOOT", SILENT)
    monkeypatch.setattr(slots, "MOST_SILENCES", 3)
    lines = []
    slot = Slot(0, (), Ready(), Logs(LogSettings(), write=lines.append), lambda _: None)
    await slot.first
    first = slot.pid
    real = slot.call

    def impatient(order, patience=0.01, **fields):
        return real(order, patience, **fields)

    monkeypatch.setattr(slot, "call", impatient)
    for _ in range(2):
        await slot.measure()
    assert slot.is_ready
    assert slot.pid == first
    await slot.measure()
    await eventually(lambda: slot.pid not in (first, None), tries=2000)
    assert slot.restarts == 1
    assert "killed by SIGKILL" in lines[-1]
    await slot.end()


@pytest.mark.parametrize(
    ("quota", "count"), [("max 100000\n", 6), ("200000 100000\n", 2), ("50000 100000\n", 1), ("", 6)]
)
def test_auto_counts_usable_processors(quota: str, count: int, tmp_path, monkeypatch):
    """``auto``: what the process may use, and no more than its container's share."""
    path = tmp_path / "cpu.max"
    if quota:
        path.write_text(quota)
    monkeypatch.setattr(supervisor, "_CPU_QUOTA", path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    assert supervisor.count_workers(settings_of(workers="auto")) == count
    assert supervisor.count_workers(settings_of(workers=3)) == 3


@pytest.mark.parametrize("value", [0, -1, 257, True, "many", "", None, 1.5, [1]])
def test_workers_are_counted_or_automatic(value: object):
    """Empty is no number, and neither is a truth value."""
    with pytest.raises(ValidationError):
        settings_of(workers=value)


def test_the_default_is_one_worker():
    """One worker unless told otherwise; a number may come from the environment as text."""
    assert settings_of().workers == 1
    assert settings_of(workers="4").workers == 4


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("listen", {"listen": "127.0.0.1:9999"}),
        ("workers", {"workers": 2}),
        ("redis", {"redis": {"url": "redis://127.0.0.1/1"}}),
        ("state_dir", {"state_dir": "elsewhere"}),
        ("admin.listen", {"admin": {"listen": "127.0.0.1:9998"}}),
        ("proxy_protocol", {"proxy_protocol": ["192.0.2.1"]}),
    ],
)
def test_what_needs_a_restart(name: str, other: dict):
    """Sockets, store and the number of processes are those of the start; all else may change."""
    old = settings_of()
    assert needs_restart(old, settings_of(**other)) == [f"{name}: this change needs a restart"]


def test_what_needs_no_restart():
    """A new admin token, other keys, routes and limits are taken over, and told by name."""
    old, new = settings_of(), settings_of(admin={"token": "y" * 20}, limits={"body": 5}, prefix="/x/")
    assert needs_restart(old, new) == []
    assert changed_sections(old, new) == ["prefix", "admin", "limits"]
