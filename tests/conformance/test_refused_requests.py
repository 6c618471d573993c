"""What is no acceptable request: refused with its word, the connection closed, nothing sent upstream."""

import pytest

from gateway.http.ports import Limits
from tests.support.http import GET, Plane

H = b"Host: h\r\n"


def get(*lines: bytes) -> bytes:
    """Return a GET with these header lines."""
    return b"GET / HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """Return a POST with these header lines, and a Host."""
    return b"POST / HTTP/1.1\r\n" + H + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


UNKNOWN = {
    "lower-case-method": b"get / HTTP/1.1\r\n" + H + b"\r\n",
    "unknown-method": b"FOO / HTTP/1.1\r\n" + H + b"\r\n",
    "ice-method": b"SOURCE / HTTP/1.1\r\n" + H + b"\r\n",
    "rtsp-method": b"DESCRIBE / HTTP/1.1\r\n" + H + b"\r\n",
    "upnp-method": b"M-SEARCH / HTTP/1.1\r\n" + H + b"\r\n",
    "token": b"!#$%&'*+-.^_`|~9a / HTTP/1.1\r\n" + H + b"\r\n",
    "longer": b"GETX / HTTP/1.1\r\n" + H + b"\r\n",
    "with-a-body": b"LIST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello",
}
CHUNKED = b"Transfer-Encoding: chunked"
MALFORMED = {
    "no-version": b"GET /\r\n\r\n",
    "http-0.9": b"GET /\r\n",
    "http-1.2": b"GET / HTTP/1.2\r\n" + H + b"\r\n",
    "http-2.0": b"GET / HTTP/2.0\r\n" + H + b"\r\n",
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case-version": b"GET / http/1.1\r\n" + H + b"\r\n",
    "three-empty-lines": b"\r\n" * 3 + GET,
    "method-no-token": b"G(T / HTTP/1.1\r\n" + H + b"\r\n",
    "unknown-method-and-two-lengths": b"LIST / HTTP/1.1\r\n"
    + H
    + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "tls-client-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "ice-protocol": b"SOURCE / ICE/1.0\r\n" + H + b"\r\n",
    "rtsp-protocol": b"SETUP / RTSP/1.0\r\n" + H + b"\r\n",
    "two-spaces": b"GET  / HTTP/1.1\r\n" + H + b"\r\n",
    "two-spaces-before-version": b"GET /  HTTP/1.1\r\n" + H + b"\r\n",
    "tab-for-space": b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n",
    "leading-space": b" GET / HTTP/1.1\r\n" + H + b"\r\n",
    "trailing-space": b"GET / HTTP/1.1 \r\n" + H + b"\r\n",
    "leading-bare-lf": b"\n" + GET,
    "leading-bare-lfs": b"\n\n\n" + GET,
    "leading-bare-cr": b"\r" + GET,
    "bare-lf-lines": b"GET / HTTP/1.1\nHost: h\n\n",
    "bare-lf-field": b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "bare-cr-in-value": get(b"Host: h", b"X: a\rb"),
    "nul-in-value": get(b"Host: h", b"X: a\0b"),
    "nul-in-name": get(b"Host: h", b"X\0: a"),
    "control-in-value": get(b"Host: h", b"X: a\x01b"),
    "delete-in-value": get(b"Host: h", b"X: a\x7fb"),
    "obs-fold": get(b"Host: h", b"X: a", b" b"),
    "obs-fold-tab": get(b"Host: h", b"X: a", b"\tb"),
    "fold-before-the-first": get(b" X: a", b"Host: h"),
    "space-before-colon": get(b"Host: h", b"X : a"),
    "space-before-colon-of-length": post(b"Content-Length : 5", body=b"hello"),
    "tab-before-colon": get(b"Host: h", b"X\t: a"),
    "no-colon": get(b"Host: h", b"X"),
    "empty-name": get(b"Host: h", b": x"),
    "name-with-space": get(b"Host: h", b"X Y: a"),
    "high-byte-in-name": get(b"Host: h", b"X\xe9: a"),
    "target-fragment": b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n",
    "target-control": b"GET /a\x01 HTTP/1.1\r\n" + H + b"\r\n",
    "target-high-byte": b"GET /\xe9 HTTP/1.1\r\n" + H + b"\r\n",
    "target-relative": b"GET a HTTP/1.1\r\n" + H + b"\r\n",
    "target-empty": b"GET  HTTP/1.1\r\n" + H + b"\r\n",
    "target-asterisk-of-get": b"GET * HTTP/1.1\r\n" + H + b"\r\n",
    "target-other-scheme": b"GET ftp://h/ HTTP/1.1\r\n" + H + b"\r\n",
    "target-authority": b"GET h:80 HTTP/1.1\r\n" + H + b"\r\n",
    **{f"target-{chr(byte)}": b"GET /a%c HTTP/1.1\r\n%b\r\n" % (byte, H) for byte in b'\\"<>{}|^`'},
    **{f"query-{chr(byte)}": b"GET /a?%c HTTP/1.1\r\n%b\r\n" % (byte, H) for byte in b'"<>#\x7f\x01'},
    **{f"authority-{chr(byte)}": b"GET http://h%c?x HTTP/1.1\r\n%b\r\n" % (byte, H) for byte in b"\\{|^`"},
    "te-and-cl": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"),
    "cl-and-te": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "cl-twice-equal": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "cl-twice-different": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "cl-list": post(b"Content-Length: 5, 5", body=b"hello"),
    "cl-plus": post(b"Content-Length: +5", body=b"hello"),
    "cl-minus": post(b"Content-Length: -5", body=b"hello"),
    "cl-hex": post(b"Content-Length: 0x5", body=b"hello"),
    "cl-empty": post(b"Content-Length:", body=b"hello"),
    "cl-space-inside": post(b"Content-Length: 1 0", body=b"hello"),
    "cl-underscore": post(b"Content-Length: 1_0", body=b"hello"),
    "cl-huge": post(b"Content-Length: 99999999999999999999"),
    "cl-superscript": post(b"Content-Length: \xb2", body=b"hello"),
    "te-gzip-chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "te-chunked-gzip": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "te-chunked-twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "te-two-fields": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "te-identity": post(b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "te-xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "te-quoted": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "te-empty": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "te-vertical-tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "te-underscore": post(b"Transfer_Encoding: chunked", body=b"0\r\n\r\n"),
    "te-dot": post(b"Transfer.Encoding: chunked", body=b"0\r\n\r\n"),
    "cl-name-underscore": post(b"Content_Length: 5", body=b"hello"),
    "te-in-http-1.0": b"POST / HTTP/1.0\r\n" + H + CHUNKED + b"\r\n\r\n0\r\n\r\n",
}
WRONG_HOST = {
    "missing": b"GET / HTTP/1.1\r\n\r\n",
    "missing-in-http-1.0": b"GET / HTTP/1.0\r\n\r\n",
    "empty": get(b"Host:"),
    "twice-equal": get(b"Host: h", b"Host: h"),
    "twice-different": get(b"Host: h", b"host: evil"),
    "list": get(b"Host: h, evil"),
    "userinfo": get(b"Host: user@h"),
    "path": get(b"Host: h/x"),
    "space": get(b"Host: h evil"),
    "port-empty": get(b"Host: h:"),
    "port-letters": get(b"Host: h:http"),
    "port-too-large": get(b"Host: h:65536"),
    "percent": get(b"Host: h%2fevil"),
    "backslash": get(b"Host: h\\evil"),
    "high-byte": get(b"Host: h\xe9"),
    "absolute-form-of-another": b"GET http://evil/ HTTP/1.1\r\n" + H + b"\r\n",
    "absolute-form-userinfo": b"GET http://h@evil/ HTTP/1.1\r\n" + H + b"\r\n",
    "absolute-form-other-port": b"GET http://h:81/ HTTP/1.1\r\n" + H + b"\r\n",
    "absolute-form-no-host": b"GET http:/// HTTP/1.1\r\n" + H + b"\r\n",
}


async def refused(data: bytes, status: int, word: str, limits: Limits | None = None) -> None:
    """Send the bytes; expect one refusal, the end, and silence upstream."""
    async with Plane(limits=limits) as plane:
        client = await plane.client()
        answer = await client.ask(data)
        assert (answer.status, answer.body.decode()) == (status, word)
        assert answer.get("connection") == "close"
        # whatever follows on this connection is never read as a request
        client.writer.write(GET)
        assert await client.ended()
        assert not plane.upstream.connections
        assert not plane.handler.exchanges
        assert plane.server.in_flight == 0


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_r57_malformed(data: bytes):
    """R57: 400 request_malformed and close."""
    await refused(data, 400, "request_malformed")


@pytest.mark.parametrize("data", UNKNOWN.values(), ids=UNKNOWN)
async def test_unknown_methods(data: bytes):
    """[3.6]: a well-formed method that nobody has let through is 501, whichever it is, and goes nowhere."""
    await refused(data, 501, "method_unknown")


@pytest.mark.parametrize("data", WRONG_HOST.values(), ids=WRONG_HOST)
async def test_r55_r57_host(data: bytes):
    """R55, R57: exactly one valid Host, and no absolute-form beside it that says otherwise."""
    await refused(data, 400, "host_invalid")


@pytest.mark.parametrize("method", [b"CONNECT h:80", b"CONNECT /", b"TRACE /"])
async def test_r55_r62_connect_and_trace(method: bytes):
    """R55, R62, CVE-2026-71324: neither reaches an upstream, and the connection is not used again."""
    await refused(method + b" HTTP/1.1\r\n" + H + b"\r\n", 405, "method_unsupported")


async def test_an_unknown_expectation():
    """RFC 9110 section 10.1.1: 417."""
    await refused(post(b"Expect: a-miracle", b"Content-Length: 1"), 417, "expectation_failed")


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + H + b"\r\n",
        get(b"Host: h", b"X: " + b"a" * 3000),
        b"GET /" + b"a" * 3000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500,
        get(b"Host: h", *[b"X: y"] * 10),
    ],
    ids=["target", "field", "no-end-of-line", "no-end-of-head", "too-many-fields"],
)
async def test_r60_head_limits(data: bytes):
    """R60: 431, whether or not the head is complete."""
    await refused(data, 431, "head_too_large", Limits(head=2048, fields=10))


async def test_an_unclosed_head_of_any_size_is_not_kept():
    """R60: sixteen mebibytes without an end cost 431 and a close, not memory."""
    async with Plane() as plane:
        client = await plane.client()
        client.writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * (16 << 20))
        assert (await client.answer()).status == 431
        assert await client.ended()


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a=\rb\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"a" * 600 + b"\r\nhello\r\n0\r\n\r\n",
        b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 500 + b"0\r\n\r\n",
        b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\n\r\n",
        b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"X: yyyyyyyyyyyyyyyy\r\n" * 600 + b"\r\n",
    ],
)
async def test_r57_malformed_chunks(body: bytes):
    """R57: a broken chunked body is 400 and close; what follows is no request."""
    async with Plane() as plane:
        client = await plane.client()
        answer = await client.ask(post(CHUNKED, body=body + SMUGGLED))
        assert (answer.status, answer.body) == (400, b"request_malformed")
        assert answer.get("connection") == "close"
        assert await client.ended()
        assert [exchange.request.target for exchange in plane.handler.exchanges] == [b"/"]


async def test_nothing_after_connection_close_is_a_request():
    """Bytes after a request with ``Connection: close`` are dropped, and the answer still arrives."""
    async with Plane() as plane:
        client = await plane.client()
        answer = await client.ask(get(b"Host: h", b"Connection: close") + SMUGGLED * 50)
        assert answer.status == 200
        assert answer.get("connection") == "close"
        assert await client.ended()
        assert [sent.target for sent in plane.upstream.seen] == ["/"]
