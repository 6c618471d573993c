"""Whole connections, fed byte streams cut anywhere: the same goes to the upstream, the same comes back."""
# ruff: noqa: D102 - methods whose names are asyncio's and httptools'

from itertools import pairwise

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.downstream.connection import ClientConnection
from gateway.http.ports import Limits
from gateway.http.server import Server
from gateway.http.upstream.connection import UpstreamConnection
from tests.support.http import Handler
from tests.support.in_memory import Pool, Transport

CHUNKED = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    CHUNKED + b"3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n",
    b"HEAD /d HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    CHUNKED + b"0003 ; x\r\nabc\r\n00000000000000000000\r\n\r\n",
]
BROKEN = [
    b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    b"GET /#x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    b"nonsense\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nDate: d\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nDate: d\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 200 OK\nDate : d\nContent-Length: 5, 5\n\nhello",
    b"\r\n\nHTTP/1.1 200 OK\r\nDate: d\r\nX: a\r\n b\r\nContent-length: 5\r\nContent-Length: 5\r\n\nhello",
    b"HTTP/1.1 103 Early Hints\n\n\r\nHTTP/1.1 999 Odd\r\nDate: d\r\nTransfer-Encoding:\r\n chunked\r\n\r\n%b"
    % b"00005 ; x = y \r\nhello\r\n000\r\n\r\n",
]
cuts = st.lists(st.integers(0, 400), max_size=12)


class Loop:
    """Calls at once: nothing here waits."""

    def call_soon(self, callback) -> None:
        later.append(callback)


later: list = []


def run(data: bytes, at: list[int], response: bytes, response_cuts: list[int]) -> tuple[bytes, bytes, int]:
    """Feed a client's bytes and each response in pieces; return what came out on both sides."""
    server = Server(Handler(), {}, Limits(), clock=lambda: 0.0)
    server.loop = Loop()
    pool = Pool(server)
    connection = ClientConnection(server)
    transport = Transport()
    connection.connection_made(transport)
    pieces = [data[start:end] for start, end in edges(data, at)]
    while pieces or later or waiting(connection):
        if later:
            later.pop(0)()
        elif pieces and not transport.paused:
            connection.data_received(pieces.pop(0))
        elif (upstream := waiting(connection)) is not None:
            exchange = connection.exchange
            for start, end in edges(response, response_cuts):
                upstream.data_received(response[start:end])
            if connection.exchange is exchange:
                # garbage that is no whole response
                break
        else:
            break
        if transport.closing:
            break
    return pool.written(), transport.written, len(server.handler.finished)


def edges(data: bytes, at: list[int]) -> list[tuple[int, int]]:
    """Return the slices that these cuts make, none of them empty."""
    marks = sorted({0, len(data), *(min(cut, len(data)) for cut in at)})
    return list(pairwise(marks))


def waiting(connection: ClientConnection) -> UpstreamConnection | None:
    """Return the upstream connection of a request that has arrived whole."""
    exchange = connection.exchange
    return exchange._upstream if exchange is not None and exchange.body_done else None


def rechunk(written: bytes) -> list[tuple[bytes, list, bytes]]:
    """Return the requests in these bytes as llhttp reads them: chunk sizes are the sender's choice."""
    found: list = []

    class Reader:
        def on_message_begin(self) -> None:
            found.append([b"", [], b""])

        def on_url(self, url: bytes) -> None:
            found[-1][0] += url

        def on_header(self, name: bytes, value: bytes) -> None:
            found[-1][1].append((name, value))

        def on_body(self, body: bytes) -> None:
            found[-1][2] += body

    httptools.HttpRequestParser(Reader()).feed_data(written)
    return [tuple(each) for each in found]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=5), cuts)
def test_requests_cut_anywhere(requests: list[bytes], at: list[int]):
    """However a client's bytes arrive, the upstream gets the same requests, the client the same answers."""
    data = b"".join(requests)
    answer = RESPONSES[0] if b"HEAD" not in data else RESPONSES[3]
    whole, cut = run(data, [], answer, []), run(data, at, answer, [])
    assert rechunk(cut[0]) == rechunk(whole[0])
    assert cut[1:] == whole[1:]
    assert whole[2] == len(requests)
    for _, fields, _ in rechunk(cut[0]):
        names = [name.lower() for name, _ in fields]
        assert names.count(b"host") == 1
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(RESPONSES), cuts)
def test_responses_cut_anywhere(response: bytes, at: list[int]):
    """However an upstream's bytes arrive, the client gets the same response, apart from sizes of chunks."""
    data = REQUESTS[0] * 2
    whole, cut = run(data, [], response, []), run(data, [], response, at)
    assert answers(cut[1]) == answers(whole[1])
    assert cut[2] == whole[2] == 2


def answers(written: bytes) -> list[list]:
    """Return the responses in these bytes as llhttp reads them."""
    found: list = []

    class Reader:
        def on_message_begin(self) -> None:
            found.append([[], b""])

        def on_header(self, name: bytes, value: bytes) -> None:
            found[-1][0].append((name, value))

        def on_body(self, body: bytes) -> None:
            found[-1][1] += body

    httptools.HttpResponseParser(Reader()).feed_data(written)
    return found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(REQUESTS), max_size=2), st.sampled_from(BROKEN), st.sampled_from(REQUESTS), cuts
)
def test_nothing_after_a_refusal_is_read(before: list[bytes], broken: bytes, after: bytes, at: list[int]):
    """After what is no request the connection closes, and what follows never reaches an upstream."""
    data = b"".join(before) + broken + after.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nX-Smuggled: 1\r\n")
    answer = RESPONSES[3]
    sent, received, _ = run(data, at, answer, [])
    assert b"X-Smuggled" not in sent
    assert b"HTTP/1.1 400 " in received
    assert received.rindex(b"Connection: close") > received.rindex(b"HTTP/1.1 400 ")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), cuts)
def test_any_bytes_end_in_a_value(data: bytes, at: list[int]):
    """Garbage raises nothing, on either side, and reaches nobody."""
    assert run(data, at, RESPONSES[0], [])[0] == b""
    run(REQUESTS[0], [], data or b"x", at)
