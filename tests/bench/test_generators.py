"""What the generators send, and how their reports are read."""

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import frames, openloop, wrk
from tests.bench.auxiliary import Connection, readable

OUTPUT = """Running 6s test @ http://127.0.0.1:1/
  1 threads and 64 connections
^C  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.38ms  502.10us  13.01ms   93.55%
  71215 requests in 1.50s, 88.03MB read
bench-report {"requests":71215,"microseconds":1502642,"status":3,"socket":1,"p50":1264.0,"p99":2259.0}
"""


def test_the_report_of_wrk_is_read():
    """The exact line at the end, not the rounded ones for people."""
    report = wrk.parse(OUTPUT)
    assert (report.requests, report.seconds, report.p50, report.p99) == (71215, 1.502642, 1.264, 2.259)
    assert "3 of 71215" in report.errors
    assert wrk.parse(OUTPUT.replace('"status":3', '"status":0')).errors == "1 connections failed"


def test_no_report_is_an_error():
    """Wrk that could not connect says so in words; that must not become a figure."""
    with pytest.raises(ValueError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_lua_strings_are_quoted():
    """Quotes, backslashes and line ends of headers stay within their literal."""
    assert wrk.quote('a"b\\c\r\n') == '"a\\"b\\\\c\\r\\n"'


def test_scripts_carry_the_request():
    """Each script holds the whole head; the unique one varies path and both ids, the token one the token."""
    headers = {"Host": "localhost:1", "sec-ch-ua": '"Chromium";v="142"'}
    repeated = wrk.repeated_script("/api/items", headers)
    assert 'GET /api/items HTTP/1.1\\r\\nHost: localhost:1\\r\\nsec-ch-ua: \\"Chromium\\"' in repeated
    unique = wrk.unique_script("/api/items", headers, 7)
    for each in ('"GET /api/items/"', "X-Request-ID: %08x", "traceparent: 00-%08x", "Host: localhost:1"):
        assert each in unique
    assert '"/folder/tokens"' in wrk.tokens_script("/api/items", headers, Path("/folder/tokens"))
    assert all("bench-report" in script for script in (repeated, unique))


def test_arrivals_keep_the_rate_and_the_seed():
    """Every peer meets the same arrivals, in order, about as many as the rate says."""
    times = openloop.schedule(1000, 5, 3)
    assert times == openloop.schedule(1000, 5, 3) != openloop.schedule(1000, 5, 4)
    assert times == sorted(times)
    assert 4700 < len(times) < 5300
    assert 0 < times[0] < times[-1] < 5


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(0, 0.99, 0), (1, 0.99, 1), (100, 0.99, 99), (100, 0.5, 50), (1000, 0.99, 990)],
)
def test_percentiles_are_values_that_occurred(count, share, expected):
    """The nearest rank: no interpolation between two answers."""
    assert openloop.percentile([float(each) for each in range(count, 0, -1)], share) == expected


@given(
    payloads=st.lists(st.binary(max_size=125), max_size=5), is_masked=st.booleans(), cut=st.integers(0, 700)
)
def test_frames_survive_any_cut(payloads, is_masked, cut):
    """However the bytes arrive, the same messages come out."""
    data = b"".join(frames.frame(each, masked=is_masked) for each in payloads)
    buffer = bytearray(data[:cut])
    found = frames.split_frames(buffer)
    buffer += data[cut:]
    found += frames.split_frames(buffer)
    assert [payload for _, payload in found] == payloads
    assert not buffer


@given(payload=st.binary(max_size=125), mask=st.binary(min_size=4, max_size=4))
def test_any_mask_comes_off(payload, mask):
    """RFC 6455 section 5.3: a proxy may mask its side with a key of its own."""
    masked = bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))
    assert frames.unmask(masked, mask) == payload


def test_the_handshake_answer_is_the_rfcs():
    """The example of RFC 6455 section 1.3."""
    assert frames.accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_responses_are_split_by_their_length():
    """Two answers in one piece, the third incomplete: two status codes, the rest kept."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    buffer = bytearray(one + one.replace(b"200", b"503") + one[:-1])
    assert frames.split_responses(buffer) == [200, 503]
    assert buffer == one[:-1]
    with pytest.raises(ValueError, match="without Content-Length"):
        frames.split_responses(bytearray(b"HTTP/1.1 200 OK\r\n\r\n"))


def upstream(listener: socket.socket) -> None:
    """Serve the connections of one test with the auxiliary upstream's own code, one thread each."""
    scratch = bytearray(1 << 16)

    def serve(sock: socket.socket) -> None:
        with sock:
            connection = Connection(sock)
            while readable(connection, scratch):
                pass

    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


@pytest.fixture
def port():
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=upstream, args=(listener,), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_the_open_loop_has_its_messages_echoed(port):
    """Every message that was due comes back over a real WebSocket."""
    request = openloop.handshake("/ws", {"Host": "localhost"})
    generator = openloop.Generator(openloop.Plan(port, request, 200, 0.3, 4, websocket=True))
    generator.connect()
    report = generator.run()
    assert report.sent == report.answered == len(openloop.schedule(200, 0.3, 1))
    assert report.trouble == ""


def test_the_open_loop_asks_on_schedule(port):
    """Every request that was due is answered; more are due than connections are free, and they queue."""
    request = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    generator = openloop.Generator(openloop.Plan(port, request, 2000, 0.2, 1))
    generator.connect()
    report = generator.run()
    assert report.sent == report.answered > 200
    assert report.trouble == ""
    assert 0 < report.p50 <= report.p99


def test_a_refused_handshake_is_told(port):
    """An answer that is no 101 ends the run before anything is measured."""
    generator = openloop.Generator(openloop.Plan(port, "GET /x HTTP/1.1\r\n\r\n", 10, 0.1, 1, websocket=True))
    with pytest.raises(ValueError, match="no WebSocket"):
        generator.connect()


def test_bad_answers_are_trouble():
    """A run with refusals, or with answers missing, counts for nothing."""
    good = openloop.Report(10, 10, 0, 1.0, 1.0, 1.0, 0.0, 0)
    assert good.trouble == ""
    assert openloop.Report(10, 10, 2, 1.0, 1.0, 1.0, 0.0, 0).trouble
    assert openloop.Report(10, 9, 0, 1.0, 1.0, 1.0, 0.0, 0).trouble
