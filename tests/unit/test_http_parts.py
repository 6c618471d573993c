"""The small parts of the data plane."""

import struct

import pytest

from gateway.core.fault import Fault
from gateway.core.headers.lines import Malformed, check_line
from gateway.http.messages.fields import read_length, tokens
from gateway.http.messages.serialise import build_response_head
from gateway.http.messages.websocket import FrameBoundary, close_frame
from gateway.http.upstream.health import Probe
from tests.support.heads import REQUEST_LINES, read_request_head


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize(
    ("connection", "old", "new"),
    [
        (b"", False, True),
        (b"Connection: close\r\n", False, False),
        (b"Connection: keep-alive\r\n", True, True),
        (b"Connection: Keep-Alive, x\r\n", True, True),
        (b"Connection: x\r\nConnection: CLOSE\r\n", False, False),
        (b"Connection: keep-alive, close\r\n", False, False),
        (b"Connection: closed\r\n", False, True),
    ],
)
def test_persistence(version: bytes, connection: bytes, old: bool, new: bool):
    """RFC 9112 section 9.3."""
    head = read_request_head(b"GET / HTTP/" + version + b"\r\nHost: h\r\n" + connection + b"\r\n")
    assert head.keep_alive is (new if version == b"1.1" else old)


def test_values_are_trimmed_and_kept():
    """White space around a value is not part of it; bytes above ASCII are (RFC 9110 section 5.5)."""
    head = read_request_head(b"GET / HTTP/1.1\r\nHost: h\r\nX:\t a\xe9 b \t\r\nEmpty:\r\n\r\n")
    assert head.headers[1:] == ((b"X", b"a\xe9 b"), (b"Empty", b""))


def test_a_fault_tells_no_secret():
    """R16: the detail of a refused head holds nothing of it."""
    with pytest.raises(Fault) as raised:
        read_request_head(b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization : Bearer secret\r\n\r\n")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("value", [b"", b" ", b"+1", b"1 ", b"0x1", b"\xb2", b"1" * 19, b"1_0"])
def test_lengths_are_digits(value: bytes):
    """Python's int is more lenient than RFC 9110 section 8.6."""
    with pytest.raises(Malformed):
        read_length(value)


@pytest.mark.parametrize(
    "name", [b"Transfer_Encoding", b"content.length", b"CONTENT_LENGTH", b"keep_alive", b"Transfer~Encoding"]
)
def test_disguised_framing_fields(name: bytes):
    """R57: spellings that another server may fold into a framing field are refused."""
    with pytest.raises(Malformed):
        REQUEST_LINES[name + b": x"]
    with pytest.raises(Malformed):
        check_line(name + b": x")


@pytest.mark.parametrize(
    "line", [b"Accept", b"Accept\t: x", b"Accept : x", b"Accept: a\rb", b"Accept: a\0b", b":x", b""]
)
def test_a_line_that_begins_like_a_known_field(line: bytes):
    """R57: what is remembered of a name does not make a line well-formed."""
    assert REQUEST_LINES[b"Accept: x"].name == b"Accept"
    for _ in range(3):
        with pytest.raises(Malformed):
            REQUEST_LINES[line]
        with pytest.raises(Malformed):
            check_line(line)


def test_tokens():
    """Empty members of a list count for nothing."""
    assert tokens(b" , A,,b ,") == [b"a", b"b"]


def test_an_unregistered_status():
    """Any three digits can be sent."""
    assert build_response_head(299, [], (), None) == b"HTTP/1.1 299 \r\n\r\n"


def frame(size: int, *, masked: bool = False) -> bytes:
    """Return a WebSocket frame."""
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x82, mask | size])
    elif size < 65536:
        head = bytes([0x82, mask | 126]) + struct.pack("!H", size)
    else:
        head = bytes([0x82, mask | 127]) + struct.pack("!Q", size)
    return head + (b"mask" if masked else b"") + b"\x81" * size


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_frame_boundaries(size: int, masked: bool, step: int):
    """A boundary is where a frame ends and nowhere else, however the bytes come."""
    data = frame(size, masked=masked)
    boundary = FrameBoundary()
    for at in range(0, len(data), step):
        assert boundary.at_boundary == (at == 0)
        boundary.advance(data[at : at + step])
    assert boundary.at_boundary
    boundary.advance(data[:1])
    assert boundary.advance(data[1:] + b"more", stop=True) == len(data) - 1
    assert boundary.advance(b"more", stop=True) == 0


def test_a_close_frame():
    """RFC 6455 section 5.5.1: final, opcode 8, two bytes of status."""
    assert close_frame(1008) == b"\x88\x02\x03\xf0"


@pytest.mark.parametrize("cut", [1, 3, 100])
async def test_a_health_check_reads_heads_as_requests_do(cut: int):
    """[3.9]: a server whose responses are mended is not called ill for them."""
    data = b"\r\nHTTP/1.1 204 Fine\nX : y\n\n"
    probe = Probe(b"")
    for at in range(0, len(data), cut):
        probe.data_received(data[at : at + cut])
    assert await probe.status == 204
