"""Heads against llhttp, byte by byte: what it refuses we refuse, and where we refuse more there is a reason.

llhttp is strict here (no lenient flag is set). Each exception has its RFC's section beside it.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import httptools
import pytest

from gateway.core.fault import Fault
from gateway.http.messages.request_head import METHODS
from tests.support.heads import read_request_head

SMALL = {
    "get": b"GET /a?b HTTP/1.1\r\nHost: h.x:80\r\nA-b: c d\r\n\r\n",
    "length": b"POST / HTTP/1.1\r\nhost:h\r\nContent-Length: 12\r\n\r\n",
    "chunked": b"PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "old": b"HEAD /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close, x\r\nExpect: 100-continue\r\n\r\n",
    "upgrade": b"GET /w HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "absolute": b"GET http://h/x HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\n\r\n",
}
EXTRA = frozenset({b"BREW", b"M-GET", b"x"})
"""Methods that a configuration lets through beside the registered ones (``extra_methods``)."""


class Read(NamedTuple):
    """What somebody read: one head, and whether a body follows."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    has_body: bool


class _Witness:
    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.heads = self.messages = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.heads += 1

    def on_message_complete(self) -> None:
        self.messages += 1


def theirs(data: bytes) -> Read | str:
    """Return what llhttp reads, or why it reads no one head."""
    witness = _Witness()
    parser = httptools.HttpRequestParser(witness)
    has_body = False
    try:
        parser.feed_data(data)
        has_body = not witness.messages
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        return str(error) or type(error).__name__
    if witness.heads != 1:
        return f"{witness.heads} heads"
    return Read(parser.get_method(), witness.url, tuple(witness.fields), has_body)


def ours(data: bytes) -> Read | tuple[str, str]:
    """Return what we read, or why we refuse it."""
    try:
        head = read_request_head(data, methods=EXTRA)
    except Fault as fault:
        return str(fault.reason), fault.detail
    return Read(head.method, head.target, tuple(head.headers), head.length != 0)


def check(data: bytes) -> str | None:
    """Compare one head; return the reason where we alone refuse it, None where both do the same.

    The one exception: RFC 9110 section 9.1, methods are an open set, and a configuration names those that it
    lets through; llhttp knows a list. (The white space around chunk sizes, RFC 9112 section 7.1.1, is of
    bodies: ``test_http_chunked.py``.)
    """
    found, other = ours(data), theirs(data)
    if isinstance(found, Read):
        if found.method in EXTRA:
            other = theirs(re.sub(rb"\A(\r\n)*[^ ]+", b"PUT", data))
            assert isinstance(other, Read), (data, other)
            other = other._replace(method=found.method)
        assert isinstance(other, Read), (data, other)
        # RFC 9112 section 3.2.2: an absolute-form is reduced to what it names at this host
        target = re.sub(rb"\A(?i:https?)://[^/?]*", b"", other.target)
        if target != other.target and target[:1] != b"/":
            target = b"/" + target if target or found.method != b"OPTIONS" else b"*"
        assert found._replace(has_body=False) == other._replace(target=target, has_body=False), data
        # after an Upgrade llhttp tells nothing of a body
        assert found.has_body == other.has_body or b"pgrade" in data.lower(), data
        return None
    if isinstance(other, Read):
        return f"{found[0]}: {found[1]}"
    return None


STRICTER = {
    "request_malformed: request line": "RFC 9112 section 3: single spaces; RFC 3986: no fragment",
    "request_malformed: request target": "RFC 9112 section 3.2: origin-form, absolute-form, or * of OPTIONS",
    "request_malformed: no blank line at the end": "RFC 9112 section 2.2: what follows is another message",
    "request_malformed: field name": "RFC 9110 section 5.1: names are tokens",
    "request_malformed: disguised framing field": "RFC 9112 section 11.2: some take it for framing",
    "request_malformed: Transfer-Encoding": "RFC 9112 section 6.1: chunked alone, and never in HTTP/1.0",
    "request_malformed: Content-Length": "RFC 9112 section 6.3: one, of at most 18 digits",
    "host_invalid: not exactly one Host": "RFC 9112 section 3.2",
    "host_invalid: no host and port": "RFC 9110 section 7.2, RFC 3986 section 3.2",
    "host_invalid: the target names another host": "RFC 9112 section 3.2.2; R55",
    "expectation_failed: ": "RFC 9110 section 10.1.1: an expectation that nobody knows",
    "method_unsupported: ": "RFC 9110 sections 9.3.6 and 9.3.8: CONNECT and TRACE",
    "method_unknown: see extra_methods": "RFC 9110 section 9.1: what is known is named",
}
"""R57: where we are stricter than llhttp, and why."""


def neighbours(head: bytes, place: int) -> Iterator[bytes]:
    """Yield a head with each byte there is at a place: instead of what is there, and before it."""
    for byte in range(256):
        yield head[:place] + bytes([byte]) + head[place + 1 :]
        yield head[:place] + bytes([byte]) + head[place:]
    yield head[:place] + head[place + 1 :]


@pytest.mark.parametrize("name", list(SMALL))
def test_r57_every_byte_at_every_place(name: str):
    """R57 [10.hold.1]: 30,000 heads around each of a few: llhttp takes what we take, and reads the same."""
    head = SMALL[name]
    refused: Counter[str | None] = Counter()
    for place in range(len(head) + 1):
        refused.update(map(check, neighbours(head, place)))
    assert set(refused) - {None} <= set(STRICTER)
    assert refused[None] > len(head) * 200


PARTS: dict[str, list[bytes]] = {
    "method": [*sorted(METHODS), b"get", b"PRI", b"SOURCE", b"M-SEARCH", b"FOO", b"BREW", b"x", b"G(T", b""],
    "target": [
        b"/",
        b"/a/b?c=d",
        b"*",
        b"/a#b",
        b"//x",
        b"/%zz",
        b"/\xe9",
        b"/a b",
        b"/a\tb",
        b"/?{|}^`\\",
        b"http://h/x",
        b"HTTP://h",
        b"https://h?x",
        b"http://u@h/",
        b"ftp://h/",
        b"h:80",
        b"",
    ],
    "version": [b"HTTP/1.1"] * 40
    + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b""],
    "space": [b" "] * 40 + [b"  ", b"\t", b"\r", b""],
    "end": [b"\r\n"] * 100 + [b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\x00\r\n"],
    "colon": [b": "] * 40 + [b":", b" :", b":\t", b": \t ", b"\t: ", b"::", b"", b" ", b":\x00", b"\x0b:"],
    "name": [
        b"Host",
        b"Content-Length",
        b"content-length",
        b"Transfer-Encoding",
        b"transfer-encoding",
        b"Connection",
        b"Upgrade",
        b"Expect",
        b"Cookie",
        b"X",
        b"Content_Length",
        b"Transfer.Encoding",
        b"X\xc3\xa9",
        b"(X",
        b"",
        b" X",
    ],
    "value": [
        b"h",
        b"h:80",
        b"5",
        b"05",
        b"+5",
        b"5,5",
        b"5 5",
        b"0x5",
        b"99999999999999999999999",
        b"chunked",
        b"Chunked",
        b"chunked,chunked",
        b"gzip, chunked",
        b"chunked, identity",
        b"xchunked",
        b"chunked\t",
        b"\tchunked",
        b"chunked;q=1",
        b"close",
        b"keep-alive, Upgrade",
        b"websocket",
        b"100-continue",
        b"a\x00b",
        b"a\x7fb",
        b"a\x80\xff",
        b"a\r\n b",
        b"a\rb",
        b"a\nb",
        b'"',
        b"",
    ],
}


def drawn(draw: random.Random) -> bytes:
    """Return a head whose every part is mostly good."""

    def one(part: str) -> bytes:
        return draw.choice(PARTS[part])

    def usually(usual: bytes, part: str) -> bytes:
        return usual if draw.random() < 0.8 else one(part)

    first = [usually(b"POST", "method"), one("space"), usually(b"/", "target"), one("space"), one("version")]
    lines = [b"".join(first)]
    if draw.random() < 0.9:
        lines.append(b"Host" + one("colon") + usually(b"h", "value"))
    more = draw.choice([0, 1, 1, 2, 3])
    lines += [usually(b"X", "name") + one("colon") + usually(b"v", "value") for _ in range(more)]
    head = b"".join(line + one("end") for line in lines) + one("end")
    if draw.random() < 0.2:
        at = draw.randrange(len(head))
        head = head[:at] + bytes([draw.randrange(256)]) * draw.randint(0, 2) + head[at + draw.randint(0, 2) :]
    return head


@pytest.mark.parametrize("seed", range(5))
def test_r57_what_llhttp_refuses_we_refuse(seed: int):
    """R57 [10.hold.1]: 10,000 heads put together of good parts and bad ones, for each seed."""
    draw = random.Random(seed)
    refused: Counter[str | None] = Counter()
    taken = 0
    for _ in range(10_000):
        data = drawn(draw)
        refused[check(data)] += 1
        taken += isinstance(ours(data), Read)
    assert set(refused) - {None} <= set(STRICTER)
    assert taken > 500


POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
TABLE = {
    "request_malformed: request line": b"GET /#x HTTP/1.1\r\nHost: h\r\n\r\n",
    "request_malformed: request target": b"GET *x HTTP/1.1\r\nHost: h\r\n\r\n",
    "request_malformed: no blank line at the end": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\n",
    "request_malformed: field name": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
    "request_malformed: disguised framing field": POST + b"Content_Length: 5\r\n\r\n",
    "request_malformed: Transfer-Encoding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "request_malformed: Content-Length": POST + b"Content-Length: 0000000000000000005\r\n\r\n",
    "host_invalid: not exactly one Host": b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    "host_invalid: no host and port": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host_invalid: the target names another host": b"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "expectation_failed: ": POST + b"Expect: x\r\nContent-Length: 1\r\n\r\n",
    "method_unsupported: ": b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n",
    "method_unknown: see extra_methods": b"SUBSCRIBE / HTTP/1.1\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("reason", list(TABLE))
def test_r57_where_llhttp_is_not_strict_enough(reason: str):
    """R57 [10.hold.1]: llhttp takes each of these, and we do not: ``STRICTER`` says why."""
    assert isinstance(theirs(TABLE[reason]), Read)
    assert check(TABLE[reason]) == reason
    assert STRICTER[reason].startswith("RFC ")


def test_the_table_is_whole():
    """Each reason has its example."""
    assert set(STRICTER) == set(TABLE)
