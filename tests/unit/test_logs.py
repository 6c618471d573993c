"""Log lines: exact, harmless, and never in the way."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config.settings.logs import LogSettings
from gateway.core.fault import Fault
from gateway.core.outcome import Outcome
from gateway.core.reasons import Reason
from gateway.edge.tasks import Tasks
from gateway.edge.telemetry import log_values
from gateway.edge.telemetry.log_writer import Writer
from gateway.edge.telemetry.logs import Logs, tell_kind
from gateway.edge.telemetry.metrics import Metrics
from gateway.edge.telemetry.recorder import Recorder
from gateway.syntax.encoding import parse_object
from gateway.worker import tell_what_broke
from tests.support.pure import identity

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
KIND = {
    "method": b"GET",
    "host": b"app.example.com",
    "route": "orders",
    "decision": "forward",
    "reason": Reason.AUTHENTICATED,
    "status": 200,
    "upstream": "app",
}
OUTCOME = Outcome(
    tuple(KIND.values()),
    path="/orders/12",
    client="203.0.113.9",
    request_id="5f3a9c01d2e400000017",
    gateway_seconds=0.000123,
    total_seconds=0.0405,
    upstream_seconds=0.04,
    bytes_in=1,
    bytes_out=2,
    identity=identity(issuer="https://idp.example.com", session_id="s1"),
)


def outcome(**changes) -> Outcome:
    """Return the outcome with changes, wherever they belong."""
    who = {name: changes.pop(name) for name in ("issuer", "subject", "session_id") if name in changes}
    if who:
        known = {"issuer": "https://idp.example.com", "session_id": "s1"} | who
        changes["identity"] = None if None in who.values() else identity(**known)
    kind = KIND | {name: changes.pop(name) for name in KIND if name in changes}
    kind |= {name: kind[name].encode() for name in ("method", "host") if isinstance(kind[name], str)}
    return replace(OUTCOME, kind=tuple(kind.values()), **changes)


def tell(logs: Logs, outcome: Outcome) -> None:
    """Write the access line of an outcome."""
    logs.access(outcome, tell_kind(outcome.kind))


class Lines:
    """Logs that keep their lines."""

    def __init__(self, **settings) -> None:
        self.raw: list[str] = []
        self.logs = Logs(LogSettings(**settings), write=self.raw.append, clock=lambda: 1_700_000_000.0625)

    def last(self) -> dict:
        """Return the last line, read as JSON."""
        return json.loads(self.raw[-1])


def test_an_access_line_is_exact():
    """Every member of an access line, by value."""
    lines = Lines()
    tell(lines.logs, OUTCOME)
    assert lines.last() == {
        "time": "2023-11-14T22:13:20.062Z",
        "level": "info",
        "event": "request",
        "request_id": "5f3a9c01d2e400000017",
        "path": "/orders/12",
        "client": "203.0.113.9",
        "method": "GET",
        "host": "app.example.com",
        "route": "orders",
        "decision": "forward",
        "reason": "authenticated",
        "status": 200,
        "gateway_us": 123,
        "total_us": 40500,
        "bytes_in": 1,
        "bytes_out": 2,
        "issuer": "https://idp.example.com",
        "subject": "alice",
        "session": "s1",
        "upstream": "app",
        "upstream_us": 40000,
    }


def test_durations_are_whole_microseconds():
    """Each duration is told in full, whatever its size."""
    lines = Lines()
    for microseconds in (0, 1, 999, 1000, 1001, 61_000_000):
        # half a microsecond more, so that no rounding of the seconds counts
        seconds = (microseconds + 0.5) / 1e6
        tell(lines.logs, outcome(gateway_seconds=seconds, total_seconds=seconds, upstream_seconds=seconds))
        line = lines.last()
        assert [line[name] for name in ("gateway_us", "total_us", "upstream_us")] == [microseconds] * 3


def test_time_stamps_follow_the_clock():
    """Within a second, over its end, and back again when somebody sets the clock."""
    told = {
        1_700_000_000.0: "13:20.000Z",
        1_700_000_000.875: "13:20.875Z",
        1_700_000_001.25: "13:21.250Z",
        1_699_999_999.5: "13:19.500Z",
        0.0: "00:00.000Z",
        0.5: "00:00.500Z",
    }
    raw: list[str] = []
    logs = Logs(LogSettings(), write=raw.append, clock=iter([*told, *told]).__next__)
    for _ in told:
        tell(logs, OUTCOME)
    for _ in told:
        logs.audit("login")
    assert [json.loads(line)["time"][-10:] for line in raw] == [*told.values(), *told.values()]


def test_what_is_remembered_of_one_request_is_not_said_of_another():
    """Parts of a line are remembered by all they are made of: no name ends in somebody else's line."""
    lines = Lines()
    recorder = Recorder(Metrics(), lines.logs, access=True)
    changes = [
        {},
        {"subject": "bob"},
        {"session_id": "s2"},
        {"issuer": "https://b"},
        {"subject": None, "issuer": None, "session_id": None},
        {"status": 404},
        {"reason": Reason.PUBLIC},
        {"route": "x"},
        {"host": "y"},
        {"method": "POST"},
        {"decision": "refuse"},
        {"fault": "upstream"},
    ]
    named = {"session_id": "session"}
    for _ in range(2):
        for change in changes:
            recorder.outcome(outcome(**change))
            line = lines.last()
            for name, value in change.items():
                assert line.get(named.get(name, name)) == value


@given(
    path=st.text(max_size=1200),
    host=st.text(max_size=400),
    method=st.text(max_size=50),
    subject=st.text(max_size=900),
)
def test_no_request_forges_a_line(path, host, method, subject):
    """Any text whatever stays inside its JSON string, on one line of ASCII, and is cut."""
    lines = Lines()
    tell(lines.logs, outcome(path=path, host=host, method=method, subject=subject))
    (raw,) = lines.raw
    assert raw.isascii()
    assert raw.isprintable()
    assert set(json.loads(raw)) == {
        *("time", "level", "event", "request_id", "path", "client", "method", "host", "route", "decision"),
        *("reason", "status", "gateway_us", "total_us", "bytes_in", "bytes_out", "issuer", "subject"),
        *("session", "upstream", "upstream_us"),
    }
    assert len(raw) < 20_000


@given(
    st.dictionaries(
        st.text(max_size=80),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=50)
            | st.binary(max_size=9)
            | st.just(object()),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
            ),
            max_leaves=20,
        ),
        max_size=40,
    )
)
def test_any_fields_make_one_line(fields):
    """Whatever a caller passes, the line is one JSON object and names what it cannot show by its type."""
    lines = Lines()
    lines.logs._line("info", "event", fields)
    (raw,) = lines.raw
    assert raw.isascii()
    assert raw.isprintable()
    document = json.loads(raw)
    assert (document["level"], document["event"]) == ("info", "event")
    assert " at 0x" not in raw


@pytest.mark.parametrize(
    "text",
    [
        JWT,
        f"got {JWT} back",
        f"Authorization: Bearer {JWT}",
        "Bearer s3cr3t-opaque",
        "basic dXNlcjpzM2NyM3Q=",
        "DPoP s3cr3t",
        "redis://user:s3cr3t@store:6379/0",
        "https://idp/token?code=s3cr3t&x=1",
        "grant_type=refresh_token&refresh_token=s3cr3t",
        "client_secret=s3cr3t",
        "https://x/cb?state=s3cr3t",
        "id_token_hint=s3cr3t",
        "password=s3cr3t",
        "https://x/login?return_to=https%3A%2F%2Fy%2F%3Fcode%3Ds3cr3t%26x%3D1",
        "https://x/?next=%252Fcb%253Faccess_token%253ds3cr3t",
        "x%3Fcode%3Ds3cr3t",
        "__Host-gateway-session=s3cr3t",
        "a=b; __Secure-gateway-hint=s3cr3t",
        "gateway-8080-refresh-0=s3cr3t",
        "app;jsessionid=s3cr3t",
        "app.php?PHPSESSID=s3cr3t",
        '{"access_token": "s3cr3t"}',
        '"{\\"refresh_token\\":\\"s3cr3t\\"}"',
    ],
)
@pytest.mark.parametrize("where", ["field", "nested", "path", "fault"])
def test_r16_what_looks_like_a_credential_is_masked(text: str, where: str):
    """R16 [4.8]: tokens, secrets and codes inside any text are masked, wherever the text stands."""
    lines = Lines()
    if where == "field":
        lines.logs.audit("x", detail=text)
    elif where == "nested":
        lines.logs.error("x", more={"a": [text]})
    elif where == "path":
        tell(lines.logs, outcome(path="/" + text))
    else:
        lines.logs.error("x", error=Fault("issuer", Reason.ISSUER_UNAVAILABLE, text))
    for secret in ("s3cr3t", "eyJ", "c2lnbmF0dXJl", "dXNlcjp"):
        assert secret not in lines.raw[-1]


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "refreshToken",
        "client_secret",
        "Cookie",
        "set-cookie",
        "Authorization",
        "password",
        "code",
        "code_verifier",
        "nonce",
        "jwt",
        "private_key",
        "client_assertion",
        "credentials",
    ],
)
def test_r16_what_is_named_like_a_secret_is_not_shown(name: str):
    """R16: a member with such a name shows no text, not even a harmless one; counts and flags are shown."""
    lines = Lines()
    lines.logs.audit("x", **{name: "harmless", "more": {name: ["harmless"]}})
    assert "harmless" not in lines.raw[-1]
    assert lines.last()[name] == "[redacted]"
    lines.logs.audit("x", **{name: 3})
    assert lines.last()[name] == 3


def test_r16_secret_kinds_are_not_shown():
    """R16: pydantic's secrets, bytes and objects of any kind are told by type alone."""
    lines = Lines()
    lines.logs.audit(
        "x",
        a=SecretStr("s3cr3t"),
        b=b"s3cr3t",
        c=LogSettings(),
        d=type("T", (), {"__str__": lambda _: "s3cr3t"})(),
    )
    assert "s3cr3t" not in lines.raw[-1]
    assert lines.last()["b"] == "[bytes]"


def test_words_that_only_resemble_credentials_stay():
    """Masking spares ordinary text: the reader needs it."""
    for text in (
        "moneyjar",
        "token_expired",
        "a@b.example",
        "basically fine",
        "x=1&y=2",
        "the code is wrong",
        "id_token: the nonce differs",
        "a%20page%20%3D%20fine",
        "possess_id",
        '{"event": "token_expired"}',
    ):
        assert log_values.clean_text(text) == text


def test_long_values_are_cut():
    """A value of any length costs one bounded line."""
    lines = Lines()
    lines.logs.audit("x", detail="a" * 100_000, many=list(range(1000)))
    assert lines.last()["detail"] == "a" * 512 + "[cut]"
    assert len(lines.last()["many"]) == 32
    tell(lines.logs, outcome(path="/" + "a" * 100_000))
    assert len(lines.raw[-1]) < 2000


def test_exceptions_are_told_by_type_and_our_own_frames():
    """An exception of a library that quotes its input: type, causes and our own lines, and not its text."""
    lines = Lines()
    try:
        try:
            parse_object(b"{}", None)  # type: ignore[arg-type]
        except TypeError as cause:
            raise ValueError("s3cr3t of a library") from cause
    except ValueError as error:
        lines.logs.error("internal error", error=error, kind="ValueError")  # noqa: TRY400 - these are no stdlib logs
    first, second = lines.last()["error"]
    assert first == {"type": "ValueError", "frames": []}
    assert second["type"] == "TypeError"
    assert second["frames"][-1].startswith("gateway/syntax/encoding.py:")
    assert second["frames"][-1].endswith(" parse_object")
    assert "s3cr3t" not in lines.raw[-1]


async def test_what_breaks_behind_everybodys_back_is_told():
    """A task that nobody waits for breaks in a worker: a line at once, and nothing of the error's text."""
    lines, tasks = Lines(), Tasks()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(partial(tell_what_broke, lines.logs))

    async def break_down() -> None:
        raise ValueError("s3cr3t of a person")

    tasks.start(break_down())
    await tasks.drain()
    await asyncio.sleep(0)
    line = lines.last()
    assert (line["level"], line["message"], line["kind"]) == ("error", "internal error", "ValueError")
    assert "s3cr3t" not in "".join(lines.raw)
    loop.call_exception_handler({"message": "Unclosed connection"})
    assert lines.last()["detail"] == "Unclosed connection"
    loop.set_exception_handler(None)


def test_levels():
    """``level`` decides about messages; audit events and errors are always written."""
    lines = Lines(level="error")
    lines.logs.info("started")
    assert not lines.raw
    lines.logs.audit("login", subject="alice", reason=Reason.LOGIN_COMPLETED, none=None)
    assert lines.last() == {
        "time": "2023-11-14T22:13:20.062Z",
        "level": "info",
        "event": "login",
        "subject": "alice",
        "reason": "login_completed",
    }
    lines.logs.error("fault", source="store")
    assert lines.last()["level"] == "error"
    assert lines.last()["message"] == "fault"


def test_fields_cannot_replace_time_level_or_event():
    """What a line says of itself is the program's; the caller's field of that name is left out."""
    lines = Lines()
    lines.logs.audit("login", time="never", level="none")
    assert lines.last()["level"] == "info"
    assert lines.last()["time"].startswith("2023")


def test_a_writer_that_raises_costs_a_line():
    """A broken sink breaks no request; what it lost is counted."""
    logs = Logs(LogSettings(), write=lambda _: 1 / 0)
    tell(logs, OUTCOME)
    logs.audit("login")
    assert logs.stats() == {"dropped_lines_total": 2.0}


@pytest.fixture
def pipe():
    """A pipe: where to read, where to write."""
    reader, writer = os.pipe()
    ends = {reader, writer}
    yield reader, writer, ends
    for end in ends:
        os.close(end)


async def test_lines_are_gathered_and_then_go_out(pipe):
    """Nothing is written at once, everything a moment later, in whole lines and in order."""
    reader, descriptor, _ = pipe
    os.set_blocking(reader, False)
    writer = Writer(descriptor)
    for index in range(20):
        writer.write(f"line {index}")
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    await asyncio.sleep(0.25)
    assert os.read(reader, 65536).decode().splitlines() == [f"line {index}" for index in range(20)]
    assert writer._timer is None


async def test_a_reader_that_stalls_holds_nothing_up(pipe):
    """A full pipe: writing returns at once, memory is bounded, what is lost is counted and told later."""
    reader, descriptor, _ = pipe
    writer = Writer(descriptor)
    writer.MOST = 300_000
    sent = 0
    while not writer.dropped:
        writer.write(f'{{"n":{sent},"pad":"{"x" * 500}"}}')
        sent += 1
        assert sent < 10_000
    assert writer.stats()["waiting_bytes"] < 310_000
    dropped = writer.dropped
    os.set_blocking(reader, False)
    received = b""
    for _ in range(40):
        writer.write('{"n":"later"}')
        writer.flush()
        await asyncio.sleep(0)
        try:
            received += os.read(reader, 1 << 20)
        except BlockingIOError:
            break
    writer.close()
    documents = [json.loads(line) for line in received.splitlines()]
    kept = [each["n"] for each in documents if isinstance(each.get("n"), int)]
    assert kept == sorted(set(kept))
    assert kept[:100] == list(range(100))
    assert len(kept) + dropped == sent
    (told,) = [each for each in documents if each.get("event") == "log_lines_dropped"]
    assert told["count"] == dropped


async def test_a_reader_that_left_breaks_nothing(pipe):
    """EPIPE: lines are dropped and counted, and the next ones are taken all the same."""
    reader, descriptor, ends = pipe
    writer = Writer(descriptor)
    os.close(reader)
    ends.remove(reader)
    for _ in range(3):
        writer.write("x")
        writer.flush()
    assert writer.dropped >= 3
    assert writer.stats()["waiting_bytes"] == 0


def test_without_a_loop_a_line_goes_out_at_once(pipe):
    """Before the loop runs, and after it has ended, nothing waits."""
    reader, descriptor, _ = pipe
    Writer(descriptor).write("starting")
    assert os.read(reader, 100) == b"starting\n"


def test_close_gets_everything_out(pipe):
    """What is held at the end is written."""
    reader, descriptor, _ = pipe
    writer = Writer(descriptor)
    asyncio.run(_write_one(writer))
    writer.close()
    assert os.read(reader, 100) == b"last words\n"


async def _write_one(writer: Writer) -> None:
    writer.write("last words")


def test_close_does_not_wait_for_ever(pipe):
    """A stalled reader at the end costs a bounded wait, then its lines."""
    _, descriptor, _ = pipe
    writer = Writer(descriptor)
    writer.CLOSE_WAIT = 0.05
    asyncio.run(_write_much(writer))
    writer.close()
    assert writer.dropped


async def _write_much(writer: Writer) -> None:
    for _ in range(1000):
        writer.write("x" * 500)


def test_a_long_line_goes_in_pieces(pipe):
    """A line beyond PIPE_BUF never makes a write that could block, and arrives whole."""
    reader, descriptor, _ = pipe
    line = "x" * 20_000
    Writer(descriptor).write(line)
    assert os.read(reader, 65536).decode() == line + "\n"


async def test_standard_error_is_the_default():
    """Without a sink lines go to standard error, and nothing else does."""
    program = (
        "from gateway.edge.telemetry.logs import Logs\n"
        "from gateway.config.settings.logs import LogSettings\n"
        "logs = Logs(LogSettings()); logs.info('started', listen='x'); logs.close()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert out == b""
    assert json.loads(err)["message"] == "started"
