"""Responses of upstreams: framed by us, checked strictly, and never longer or shorter than they were."""

import pytest

from gateway.http.ports import Limits
from tests.support.http import GET, Handler, Plane, UpstreamSide, always, figures

HEAD = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("pieces", "length", "coding", "body"),
    [
        ((OK + b"Content-Length: 5\r\n\r\nhello",), "5", None, b"hello"),
        ((OK, b"Content-Le", b"ngth: 5\r\n\r", b"\nhel", b"lo"), "5", None, b"hello"),
        ((OK + b"Date: d\r\nContent-Length: 5\r\n\r\nhello",), "5", None, b"hello"),
        ((OK + b"Date: d\r\nContent-Length: 5\r\n\r\n", b"hello"), "5", None, b"hello"),
        ((OK + b"Date: d\r\nContent-Length: 0\r\n\r\n",), "0", None, b""),
        ((OK + b"Content-Length: 0\r\n\r\n",), "0", None, b""),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",), None, "chunked", b"hello"),
        (
            (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5;x=y\r", b"\nhello\r\n0\r\nT: x\r\n\r\n"),
            None,
            "chunked",
            b"hello",
        ),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), None, None, b""),
        ((b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",), "5", None, b""),
        ((b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",), "5", None, b"hello"),
        ((b"HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\nhello",), "5", None, b"hello"),
    ],
)
async def test_framings(pieces, length, coding, body):
    """Each framing arrives as it is, and both connections serve again."""
    async with Plane(always(*pieces)) as plane:
        client = await plane.client()
        for _ in range(3):
            answer = await client.ask(GET)
            assert answer.get("content-length") == length
            assert answer.get("transfer-encoding") == coding
            assert answer.body == body
            assert answer.get("connection") is None
            assert answer.get("date")
        assert plane.upstream.connections == 1
        assert plane.handler.finished[-1].bytes_out == len(body)


@pytest.mark.parametrize(
    "head",
    [OK + b"\r\n", b"HTTP/1.0 200 OK\r\n\r\n", OK + b"Connection: close\r\n\r\n"],
)
async def test_a_response_that_ends_with_its_connection(head: bytes):
    """Chunked for an HTTP/1.1 client, which keeps its connection; close-delimited for HTTP/1.0."""
    async with Plane(always(head, b"hel", b"lo", close=True)) as plane:
        client = await plane.client()
        for _ in range(2):
            answer = await client.ask(GET)
            assert answer.get("transfer-encoding") == "chunked"
            assert answer.body == b"hello"
        old = await plane.client()
        answer = await old.ask(b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
        assert answer.get("transfer-encoding") is None
        assert answer.get("connection") == "close"
        assert answer.body == b"hello"
        assert {finished.fault for finished in plane.handler.finished} == {None}


async def test_a_chunked_response_for_http_1_0():
    """An HTTP/1.0 client gets the content without its chunks, then the end."""
    async with Plane(always(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")) as plane:
        client = await plane.client()
        answer = await client.ask(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        assert answer.body == b"hello"
        assert answer.get("transfer-encoding") is None


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (OK + b"Content-Length: 1000\r\n\r\n", "1000"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", None),
        (OK + b"\r\n", None),
    ],
)
async def test_head_has_no_body(head: bytes, length: str | None):
    """The answer to HEAD ends with its head, keeps its length, and both connections serve again."""
    async with Plane(always(head)) as plane:
        client = await plane.client()
        for _ in range(3):
            answer = await client.ask(HEAD, head_only=True)
            assert answer.status == 200
            assert answer.get("content-length") == length
        assert plane.upstream.connections == 1


@pytest.mark.parametrize(
    "response",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        OK + b"Content-Length: -5\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nhello",
        OK + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
        OK + b" X: a\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 5\r\n 5\r\n\r\nhello",
        OK + b"Content-Length: 5, 05\r\n\r\nhello",
        OK + b"Content-Length: 5,\r\n\r\nhello",
        OK + b"Content-Length: \r\n\r\nhello",
        OK + b"Content-Length : 5\r\ncontent-length:\r\n 6\r\n\r\nhello!",
        OK + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"X y: a\r\nContent-Length: 0\r\n\r\n",
        OK + b"X\t\ty: a\r\nContent-Length: 0\r\n\r\n",
        OK + b": a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1\n200 OK\n\n",
        b"HTTP/1.1 200 OK\r\r\n\r\n",
        b"\r\n \r\nHTTP/1.1 200 OK\r\n\r\n",
        OK + b"X\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"y" * 70_000,
        OK + b"X: y\r\n" * 300 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_malformed_responses(response: bytes):
    """A response that could be read in two ways is 502; its connection is not used again, the client's is."""
    async with Plane(always(response)) as plane:
        client = await plane.client()
        for count in (1, 2):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (502, b"upstream_malformed")
            assert plane.upstream.connections == count
        assert plane.handler.finished[0].fault.source == "upstream"


MENDED = {
    "bare-lf": b"HTTP/1.1 200 OK\nX: a b\nContent-Length: 5\n\nhello",
    "bare-lf-then-crlf": b"HTTP/1.1 200 OK\nX: a b\nContent-Length: 5\n\r\nhello",
    "crlf-then-bare-lf": OK + b"X: a b\r\nContent-Length: 5\r\n\nhello",
    "some-bare-lf": OK + b"X: a b\nContent-Length: 5\r\n\r\nhello",
    "space-before-colon": OK + b"X : a b\r\nContent-Length: 5\r\n\r\nhello",
    "tabs-before-colon": OK + b"X\t \t: a b\r\nContent-Length: 5\r\n\r\nhello",
    "space-before-the-colon-of-the-length": OK + b"X: a b\r\nContent-Length : 5\r\n\r\nhello",
    "space-before-the-colon-of-the-coding": OK
    + b"X: a b\r\nTransfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "the-same-length-twice": OK + b"Content-Length: 5\r\nX: a b\r\nContent-length: 5\r\n\r\nhello",
    "the-same-length-in-a-list": OK + b"X: a b\r\nContent-Length: 5, 5,5\r\n\r\nhello",
    "the-same-length-both-ways": OK + b"Content-Length: 5,5\r\nX: a b\r\nContent-Length : 5\r\n\r\nhello",
    "fold": OK + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "fold-by-tab": OK + b"X: a  \r\n\t\tb\r\nContent-Length: 5\r\n\r\nhello",
    "fold-of-the-first-line": OK + b"X:\r\n a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "fold-of-bare-lf": b"HTTP/1.1 200 OK\nX: a\n b\nContent-Length:\n 5\n\nhello",
    "an-empty-line-before": b"\r\n" + OK + b"X: a b\r\nContent-Length: 5\r\n\r\nhello",
    "empty-lines-before": b"\r\n\n\r\n" + OK + b"X: a b\r\nContent-Length: 5\r\n\r\nhello",
    "a-bare-lf-before": b"\nHTTP/1.1 200 OK\nX: a b\nContent-Length: 5\n\nhello",
    "an-interim-response-of-bare-lf": b"HTTP/1.1 100 Continue\n\n"
    + OK
    + b"X: a b\r\nContent-Length: 5\r\n\r\nhello",
    "an-empty-line-after-an-interim-response": b"HTTP/1.1 100 Continue\r\n\r\n\r\n"
    + OK
    + b"X: a b\r\nContent-Length: 5\r\n\r\nhello",
    "a-body-of-line-ends": OK.replace(b"\r", b"") + b"X: a b\nContent-Length: 5\n\n\r\n\r\n\n",
}


@pytest.mark.parametrize("split", ["whole", "pieces"])
@pytest.mark.parametrize("response", MENDED.values(), ids=MENDED)
async def test_responses_of_real_servers(response: bytes, split: str):
    """[3.9]: what RFC 9112 lets a recipient mend is mended, however it is cut, and each time."""
    pieces = [response] if split == "whole" else [response[at : at + 5] for at in range(0, len(response), 5)]
    async with Plane(always(*pieces)) as plane:
        client = await plane.client()
        for _ in range(3 if split == "whole" else 1):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (
                200,
                response[-5:] if b"chunked" not in response else b"hello",
            )
            assert answer.get("x") == "a b"
        await client.send(GET)
        head = await client.head()
        assert head.count(b"\n") == head.count(b"\r\n") == len(head.splitlines())
        assert not any(line[:1] in b" \t" for line in head.splitlines() if line)


@pytest.mark.parametrize("status", [600, 666, 799, 999])
async def test_statuses_beyond_599(status: int):
    """[3.9]: RFC 9110 section 15: a status of an unknown class is passed on as it is."""
    async with Plane(always(b"HTTP/1.1 %d Odd\r\nContent-Length: 5\r\n\r\nhello" % status)) as plane:
        client = await plane.client()
        for _ in range(3):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (status, b"hello")
        assert plane.upstream.connections == 1


SPLIT = b"Content-Length: 0\n\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil\r\n\r\n"


@pytest.mark.parametrize(
    "response",
    [
        OK + b"X: y\n" + SPLIT,
        OK + b"Content-Length: 0\r\n\n" + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        b"HTTP/1.1 103 Early Hints\nX: y\n\n" + OK + b"Content-Length: 0\r\n\r\n",
    ],
)
async def test_after_a_doubtful_head_the_connection_is_not_used_again(response: bytes):
    """[3.9], R57: who can write a bare LF into an upstream's field gives nobody else an answer."""
    async with Plane(always(response)) as plane:
        for count in (1, 2, 3):
            client = await plane.client()
            answer = await client.ask(GET)
            if answer.status == 103:
                answer = await client.answer()
            assert b"evil" not in answer.body.partition(b"HTTP/1.1 200 OK")[0]
            assert plane.upstream.connections == count


@pytest.mark.parametrize("control", [0, 1, 8, 11, 12, 13, 14, 27, 31, 127])
@pytest.mark.parametrize("complete", [True, False])
async def test_a_control_byte_in_a_value(control: int, complete: bool):
    """[3.9]: 502 as soon as it has come, and the log names the field, and nothing of its value."""
    head = OK + b"X-Good: 1\r\nX-Odd : secret" + bytes([control]) + b"more"
    response = head + b"\r\nContent-Length: 0\r\n\r\n" if complete else head
    async with Plane(always(response)) as plane:
        client = await plane.client()
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (502, b"upstream_malformed")
        details = {fault.detail for fault in plane.handler.faults}
        assert details == {"response: control byte in X-Odd"}


@pytest.mark.parametrize("line", [b"\n b", b"\r\n b", b"\nContent-Length: 0", b"\nX : y", b"\n:"])
async def test_many_lines(line: bytes):
    """[3.9], R60: mending costs little, whatever is written: so many lines are in no head, folds counted."""
    for count, detail in ((1100, "too many lines"), (15_000, "response head too large|too many lines")):
        async with Plane(always(OK[:-2] + b"\nX: a" + line * count + b"\n\n")) as plane:
            client = await plane.client()
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (502, b"upstream_malformed")
            assert plane.handler.faults[0].detail.removeprefix("response: ") in detail.split("|")
    folded = OK + b"X: a" + b"\r\n b" * 900 + b"\r\nContent-Length: 0\r\n\r\n"
    async with Plane(always(folded)) as plane:
        answer = await (await plane.client()).ask(GET)
        assert answer.get("x") == "a" + " b" * 900


async def test_empty_lines_without_end():
    """[3.9], R60: what comes before a status line is bounded as the head is."""
    async with Plane(always(b"\r\n" * 40_000)) as plane:
        client = await plane.client()
        answer = await client.ask(GET)
        assert (answer.status, answer.body) == (502, b"upstream_malformed")


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n" + b"0" * 60 + b"\r\n\r\n",
        b"5 ; a\r\nhello\r\n0\r\n\r\n",
        b'5;a = " ; " ; b\r\nhello\r\n0 ; last\r\n\r\n',
        b"5  \r\nhello\r\n0\t\r\n\r\n",
        b"000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_chunks_of_real_servers(body: bytes):
    """[3.10]: white space where RFC 9112 section 7.1.1 allows it, padded sizes, a last chunk of any zeros."""
    async with Plane(always(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)) as plane:
        client = await plane.client()
        for _ in range(3):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (200, b"hello")
        assert plane.upstream.connections == 1


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello world\r\n0\r\n\r\n",
        b"5\r\nhello\r\nnonsense\r\n",
        b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
        b"0" * 600,
    ],
)
@pytest.mark.parametrize("date", [b"", b"Date: d\r\n"])
async def test_a_broken_body_that_came_with_its_head_is_502(body: bytes, date: bytes):
    """[3.10]: while the head has not been sent, there is an answer to give, and no reset."""
    async with Plane(always(OK + date + b"Transfer-Encoding: chunked\r\n\r\n" + body)) as plane:
        client = await plane.client()
        for count in (1, 2, 3):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (502, b"upstream_malformed")
            assert plane.upstream.connections == count


async def test_interim_responses_without_end():
    """An upstream that sends nothing but interim responses is 502 after some."""
    async with Plane(always(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40)) as plane:
        client = await plane.client()
        answer = await client.ask(GET)
        while answer.status == 103:
            answer = await client.answer()
        assert answer.status == 502


async def test_interim_responses_are_counted_for_each_request():
    """A kept connection may bring any number of interim responses, if each request gets its answer."""
    final = OK + b"Date: d\r\nContent-Length: 5\r\n\r\nhello"
    async with Plane(always(b"HTTP/1.1 103 Early Hints\r\n\r\n" + final)) as plane:
        client = await plane.client()
        for _ in range(40):
            assert (await client.ask(GET)).status == 103
            assert (await client.answer()).body == b"hello"
        assert plane.upstream.connections == 1


@pytest.mark.parametrize(
    "response",
    [
        OK + b"Date: d\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_surplus_bytes_end_the_upstream_connection(response: bytes):
    """What follows a response is nobody's: it never answers the next request."""
    async with Plane(always(response)) as plane:
        client = await plane.client()
        for count in (1, 2, 3):
            assert (await client.ask(GET)).body == b"hello"
            assert plane.upstream.connections == count


async def test_late_surplus_bytes_end_an_idle_connection():
    """The same when they come while the connection is idle."""
    async with Plane(always(OK + b"Content-Length: 5\r\n\r\nhello", b"HTTP/1.1 200 OK\r\n\r\n")) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).body == b"hello"
        await plane.eventually(lambda: figures(plane.server)["upstream_app_open"] == 0)
        assert (await client.ask(GET)).body == b"hello"


@pytest.mark.parametrize("lines", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_where_none_is_allowed(lines: bytes):
    """After a 204 that announces a body the connection is not trusted again."""
    async with Plane(always(b"HTTP/1.1 204 No Content\r\n" + lines + b"\r\n")) as plane:
        client = await plane.client()
        for count in (1, 2):
            answer = await client.ask(GET)
            assert answer.status == 204
            assert answer.get("content-length") is None
            assert answer.get("transfer-encoding") is None
            assert plane.upstream.connections == count


async def test_r58_hop_by_hop_fields_are_removed():
    """R58: Connection, what it names, and the other hop-by-hop fields stay on their hop."""
    head = (
        b"Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Connection: x\r\n"
        b"Trailer: X\r\nUpgrade: h2c\r\nX-End: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    )
    async with Plane(always(OK + head + b"Content-Length: 0\r\n\r\n")) as plane:
        client = await plane.client()
        names = [name for name, _ in (await client.ask(GET)).headers]
        assert names == ["X-End", "Set-Cookie", "Set-Cookie", "Date", "Content-Length"]


async def test_early_hints_are_forwarded():
    """103 goes to HTTP/1.1 clients, without cookies and unedited; an HTTP/1.0 client never sees it."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: a=1\r\nConnection: X\r\nX: 1\r\n\r\n"
    response = hints + b"HTTP/1.1 102 Processing\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello"
    async with Plane(always(response)) as plane:
        client = await plane.client()
        first = await client.ask(GET)
        assert (first.status, first.headers) == (103, [("Link", "</a>")])
        assert (await client.answer()).status == 102
        assert (await client.answer()).body == b"hello"
        old = await plane.client()
        assert (await old.ask(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")).status == 200


async def test_an_unasked_100_is_not_forwarded():
    """A client that does not wait for 100 (Continue) is not told to continue."""
    response = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello"
    async with Plane(always(response)) as plane:
        client = await plane.client()
        assert (await client.ask(GET)).status == 200


async def test_server_sent_events_are_flushed_at_once():
    """Each event arrives before the next is sent, and none is cut by an idle time-out while it is wanted."""

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(OK + b"Content-Type: text/event-stream\r\n\r\n")
        for index in range(3):
            await side.some() if index else None
            await side.send(b"data: %d\n\n" % index)
        await side.ended()

    async with Plane(behave, idle_timeout=0.1, response_timeout=0.1) as plane:
        client = await plane.client()
        await client.send(GET)
        await client.head()
        assert await client.exactly(14) == b"9\r\ndata: 0\n\n\r\n"
        start = plane.server.now
        await plane.eventually(lambda: plane.server.now - start > 0.5)
        assert plane.server.in_flight == 1
        await client.close()
        await plane.eventually(lambda: plane.upstream.open == 0)
        assert plane.handler.finished[0].fault.reason == "client_aborted"


@pytest.mark.parametrize(
    "response",
    [
        OK + b"Content-Length: 50\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n|nonsense\r\n",
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_r63_a_truncated_response_is_visibly_truncated(response: bytes, version: bytes):
    """R63: the client's connection is reset, in HTTP/1.0 too, where an orderly end would look complete."""
    first, _, broken = response.partition(b"|")

    async def behave(side: UpstreamSide) -> None:
        await side.request()
        await side.send(first)
        await plane.eventually(lambda: plane.handler.exchanges[0].long_lived)
        if broken:
            await side.send(broken)

    async with Plane(behave) as plane:
        client = await plane.client()
        await client.send(b"GET / HTTP/" + version + b"\r\nHost: h\r\n\r\n")
        with pytest.raises(ConnectionError):
            await client.rest()
        finished = plane.handler.finished[0]
        assert finished.status == 200
        assert finished.fault.source == "upstream"


async def test_the_gateways_own_answers():
    """``respond``: framed, dated, without a body for HEAD, 204 and 304; the connection is kept."""

    def decide(exchange) -> bool:
        exchange.respond(
            int(exchange.request.target[1:]), [(b"Connection", b"x"), (b"Content-Length", b"9")], b"hello"
        )
        return True

    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        for status, body in ((200, b"hello"), (404, b"hello"), (204, b""), (304, b"")):
            answer = await client.ask(GET.replace(b"/ ", b"/%d " % status))
            assert (answer.status, answer.body) == (status, body)
            assert answer.get("date")
            assert answer.get("connection") is None
            answer = await client.ask(HEAD.replace(b"/ ", b"/%d " % status), head_only=True)
            assert answer.get("content-length") == ("5" if body else None)
        assert not plane.upstream.connections
        assert plane.handler.finished[0].upstream_seconds is None


async def test_answering_twice_is_answering_once():
    """Whatever the handler does after its answer changes nothing, and the end is told once."""

    def decide(exchange) -> bool:
        exchange.respond(403, [], b"no")
        exchange.respond(200, [], b"yes")
        plane.handler.forward(exchange)
        return True

    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client()
        for _ in range(2):
            assert (await client.ask(GET)).status == 403
        assert len(plane.handler.finished) == 2
        assert not plane.upstream.connections


async def test_r60_more_connections_than_allowed():
    """R60: one more is told 503; when another has gone there is room again."""
    async with Plane(limits=Limits(connections=2)) as plane:
        first, second = await plane.client(), await plane.client()
        assert (await first.ask(GET)).status == 200
        assert (await second.ask(GET)).status == 200
        for client in (first, second):
            # idle ones would make room
            await client.send(b"GET")
        await plane.eventually(lambda: not any(each.idle for each in plane.server._connections))
        third = await plane.client()
        assert (await third.answer()).status == 503
        assert await third.ended()
        await third.close()
        await first.close()
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 1)
        assert (await (await plane.client()).ask(GET)).status == 200


async def test_an_edit_that_would_split_the_head():
    """A line break in an edited response head is 500, and nothing of it is sent."""
    handler = Handler()
    handler.added = [(b"X", b"a\r\nSet-Cookie: evil=1")]
    async with Plane(handler=handler) as plane:
        client = await plane.client()
        answer = await client.ask(GET)
        assert (answer.status, answer.all("set-cookie")) == (500, [])
