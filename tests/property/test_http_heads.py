"""Any bytes are a request head or a Fault; what we accept, llhttp accepts, and reads in the same way."""
# ruff: noqa: D102 - methods whose names are asyncio's and httptools'

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.fault import Fault
from gateway.http.messages.mending import end_of_head
from gateway.http.messages.request_head import METHODS
from gateway.http.messages.response_head import ResponseHead
from gateway.http.messages.serialise import Unsafe, build_response_head
from tests.support.heads import RESPONSE, read_request_head, read_response_head

BASE = [
    b"GET / HTTP/1.1",
    b"Host: h.example:80",
    b"User-Agent: x (y; z)",
    b"Accept: text/html, */*;q=0.8",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Connection: keep-alive, upgrade",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Cookie: a=b; c=d",
]
NOISE = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"_",
    b"\xff",
    b"#",
    b"@",
    b"/",
    b"*",
    b"0",
    b"+",
]

lines = st.lists(st.sampled_from(BASE[1:]), max_size=8)
first = st.one_of(
    st.just(BASE[0]),
    st.builds(
        b"%b %b HTTP/%b".__mod__,
        st.tuples(
            st.sampled_from([*sorted(METHODS), b"PRI", b"SOURCE", b"get", b"FOO"]),
            st.sampled_from(
                [b"/", b"*", b"/a?b=c", b"http://h.example:80/x", b"//x", b"h:80", b"/a#b", b"/\xe9"]
            ),
            st.sampled_from([b"1.1", b"1.0", b"2.0", b"1.2", b"0.9", b"1.1 "]),
        ),
    ),
)


@st.composite
def heads(draw) -> bytes:
    """Return a head that is nearly right."""
    data = b"\r\n".join([draw(first), b"Host: h.example:80", *draw(lines)]) + b"\r\n\r\n"
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from(NOISE)) + data[at + draw(st.integers(0, 1)) :]
    return data


class Witness:
    """What llhttp saw."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.heads = 0
        self.messages = 0
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.heads += 1

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def everything(head) -> list:
    """Return what a head says."""
    names = (
        "method",
        "target",
        "host",
        "headers",
        "minor",
        "length",
        "keep_alive",
        "expects_continue",
        "upgrade",
    )
    return [getattr(head, name) for name in names]


@settings(max_examples=400)
@given(heads())
@example(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n")
def test_r57_what_we_accept_llhttp_accepts(data: bytes):
    """R57: one head, the same target and fields, and a body exactly where llhttp expects one."""
    try:
        head = read_request_head(data)
    except Fault:
        return
    witness = Witness()
    parser = httptools.HttpRequestParser(witness)
    upgrade = False
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        upgrade = True
    assert witness.heads == 1
    assert parser.get_method() == head.method
    assert tuple(witness.headers) == head.headers
    assert witness.url in (head.target, b"http://" + head.host + head.target)
    if not upgrade:
        assert (witness.messages == 0) == (head.length != 0)
    names = [name.lower() for name, _ in head.headers]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert everything(read_request_head(data)) == everything(head)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), heads().flatmap(lambda data: st.just(data[:-1]))))
def test_any_bytes_are_a_head_or_a_fault(data: bytes):
    """Nothing but a Fault of the client comes of garbage."""
    sources = {"client"}
    try:
        read_request_head(data)
    except Fault as error:
        sources.add(error.source)
    assert sources == {"client"}


RESPONSES = st.lists(
    st.sampled_from(
        [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: close, X", b"X: y", b"Date: x"]
    ),
    max_size=4,
)


@settings(max_examples=300)
@given(
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.0 404", b"HTTP/1.1 204 No", b"HTTP/1.1 99 x", b"HTTP/2 200 OK"]
    ),
    RESPONSES,
    st.integers(0, 60),
    st.sampled_from([b"", *NOISE]),
)
def test_any_bytes_are_a_response_head_or_a_fault(line: bytes, fields: list[bytes], at: int, noise: bytes):
    """Nothing but a Fault of the upstream comes of garbage; hop-by-hop fields never come out."""
    data = b"\r\n".join([line, *fields]) + b"\r\n\r\n"
    data = data[:at] + noise + data[at:]
    fault = None
    try:
        head = read_response_head(data)
    except Fault as error:
        fault = error
    if fault is not None:
        assert (fault.source, fault.reason) == ("upstream", "upstream_malformed")
        return
    assert head.length is None or not head.chunked
    assert not {name.lower() for name, _ in head.headers} & {
        b"content-length",
        b"transfer-encoding",
        b"connection",
    }


headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Host", b"HOST", b"Content-Length", b"content-length", b"Transfer-Encoding", b"X", b"TE"]
        ),
        st.one_of(
            st.sampled_from([b"h", b"5", b"chunked", b"a\r\nHost: evil", b"a\nb", b"a\rb"]),
            st.binary(max_size=8),
        ),
    ),
    max_size=6,
)


@given(headers)
def test_r57_a_response_has_one_framing_field(fields: list):
    """R57: the same towards the client."""
    try:
        head = build_response_head(200, fields, [b"Content-Length: 5"], b"now")
    except Unsafe:
        return
    names = [line.partition(b":")[0].lower() for line in head[:-4].split(b"\r\n")[1:]]
    assert names.count(b"content-length") == 1
    assert names.count(b"transfer-encoding") == 0


def told(head: ResponseHead) -> dict:
    """Return what a response head says, but whether its connection serves others."""
    return {name: getattr(head, name) for name in RESPONSE if name != "reusable"}


STRICT = [
    b"Content-Length: 5",
    b"X-One: a b  c",
    b"Set-Cookie: a=b; Path=/",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Date: d",
    b"X-Empty:",
    b"Upgrade: tcp",
    b"Content-Type: text/event-stream",
]


@st.composite
def mendable(draw) -> tuple[bytes, bytes]:
    """Return a response head in its strict form, and the same as some server writes it."""
    strict = [b"HTTP/1.1 %d Some Thing" % draw(st.sampled_from([200, 204, 304, 404, 600, 999]))]
    loose = b"".join(draw(st.lists(st.sampled_from([b"\n", b"\r\n"]), max_size=3))) + strict[0]
    for line in draw(st.lists(st.sampled_from(STRICT), max_size=5, unique=True)):
        name, _, value = line.partition(b":")
        strict.append(line)
        end = draw(st.sampled_from([b"\n", b"\r\n"]))
        fold = draw(st.sampled_from([b"", b"", end + b" ", b" " + end + b"\t "]))
        loose += end + name + draw(st.sampled_from([b"", b" ", b"\t "])) + b":" + fold + value
        if name == b"Content-Length":
            loose += draw(st.sampled_from([b"", b", 5", end + b"content-length : 5"]))
    for _ in range(2):
        loose += draw(st.sampled_from([b"\n", b"\r\n"]))
    return b"\r\n".join(strict) + b"\r\n\r\n", loose


@settings(max_examples=400)
@given(mendable())
def test_r57_a_mended_response_head_says_what_its_strict_form_says(pair: tuple[bytes, bytes]):
    """R57 [3.9]: and where its lines were in doubt its connection serves nobody else."""
    strict, loose = pair
    assert end_of_head(loose) == len(loose)
    assert end_of_head(loose + b"\n\r\nHTTP/1.1 200 OK\r\n\r\n") == len(loose)
    assert not any(end_of_head(loose[:at]) for at in range(len(loose)))
    try:
        expected = read_response_head(strict)
    except Fault:
        with pytest.raises(Fault):
            read_response_head(loose)
        return
    for _ in range(3):
        found = read_response_head(loose)
        assert found.reusable in (expected.reusable, False)
        assert told(found) == told(expected)
    if b"\n" in loose.replace(b"\r\n", b""):
        assert not found.reusable


@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b" "])).map(b"".join))
def test_where_a_response_head_ends(data: bytes):
    """[3.9]: the end is the first there is, and stays it, whatever follows."""
    end = end_of_head(data)
    if end:
        assert end_of_head(data[:end]) == end_of_head(data + b"\n\n\r\n\r\n") == end
        assert not end_of_head(data[: end - 1])
