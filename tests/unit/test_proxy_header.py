"""The PROXY protocol's header as bytes."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.syntax.proxy_header import SIGNATURE, UNTOLD, crc32c, read_block, read_length, read_line


def block(command: int, family: int, body: bytes) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(body)) + body


def read(header: bytes) -> str | None:
    """Read a header of version 2."""
    assert read_length(header[:16]) == len(header) - 16
    return read_block(header[:16], header[16:])


def four(source: str = "203.0.113.7", more: bytes = b"") -> bytes:
    """Return the body of a header for IPv4."""
    return ip_address(source).packed + ip_address("192.0.2.1").packed + struct.pack("!HH", 5, 443) + more


def told(kind: int, value: bytes) -> bytes:
    """Return something else that a proxy tells: type, length and value."""
    return bytes((kind,)) + struct.pack("!H", len(value)) + value


def summed(command: int, family: int, addresses: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a header of version 2 with its checksum."""
    blank = block(command, family, addresses + before + told(3, bytes(4)) + after)
    place = 16 + len(addresses) + len(before) + 3
    return blank[:place] + struct.pack("!I", crc32c(blank)) + blank[place + 4 :]


def six(source: str) -> bytes:
    """Return the body of a header for IPv6."""
    return ip_address(source).packed + ip_address("2001:db8::2").packed + struct.pack("!HH", 5, 443)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        (b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "2001:db8::1"),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 1 2\r\n", "203.0.113.7"),
        (b"PROXY UNKNOWN\r\n", UNTOLD),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", UNTOLD),
    ],
)
def test_lines(line: bytes, address: str):
    """[3.16]: version 1."""
    assert read_line(line) == address


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"PROXY\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 \r\n",
        b"PROXY  TCP4 203.0.113.7 192.0.2.1 56324 443\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 443\r\n",
        b"PROXY TCP4 203.0.113.07 192.0.2.1 1 443\r\n",
        b"PROXY TCP4 203.0.113.256 192.0.2.1 1 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
        b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\nX\r\n",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_no_lines(line: bytes):
    """[3.16]: what is nearly a header of version 1."""
    with pytest.raises(ValueError, match=r"."):
        read_line(line)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (block(0x21, 0x11, four()), "203.0.113.7"),
        (block(0x21, 0x11, four(more=told(4, b"abcd") * 20 + told(0x20, b""))), "203.0.113.7"),
        (summed(0x21, 0x11, four()), "203.0.113.7"),
        (summed(0x21, 0x11, four(), told(2, b"app.example"), told(0xEA, b"\1vpce-1")), "203.0.113.7"),
        (summed(0x21, 0x21, six("2001:db8::1"), after=told(4, bytes(3000))), "2001:db8::1"),
        (block(0x21, 0x21, six("2001:db8::1")), "2001:db8::1"),
        (block(0x21, 0x21, six("::ffff:203.0.113.7")), "203.0.113.7"),
        (block(0x21, 0x00, b""), UNTOLD),
        (block(0x21, 0x00, four()), UNTOLD),
        (block(0x21, 0x31, b"/x".ljust(216, b"\0")), UNTOLD),
        (block(0x20, 0x00, b""), None),
        (block(0x20, 0x11, four()), None),
        (block(0x20, 0xFF, b"junk"), None),
    ],
)
def test_blocks(header: bytes, address: str | None):
    """[3.16]: version 2; LOCAL is the proxy itself, and what tells no address is nobody's."""
    assert read(header) == address


@pytest.mark.parametrize(
    "header",
    [
        block(0x22, 0x11, four()),
        block(0x11, 0x11, four()),
        block(0x01, 0x11, four()),
        block(0x21, 0x12, four()),
        block(0x21, 0x22, six("2001:db8::1")),
        block(0x21, 0x32, bytes(216)),
        block(0x21, 0x44, four()),
        block(0x21, 0x11, four()[:11]),
        block(0x21, 0x11, b""),
        block(0x21, 0x21, four()),
        block(0x21, 0x11, four(more=bytes(5000))),
        block(0x21, 0x11, four(more=b"\x04")),
        block(0x21, 0x11, four(more=b"\x04\x00")),
        block(0x21, 0x11, four(more=b"\x04\x00\x05abcd")),
        block(0x21, 0x11, four(more=told(4, b"") + b"\x04\xff\xff")),
        block(0x21, 0x11, four(more=told(3, b"abcd"))),
        block(0x21, 0x11, four(more=told(3, b""))),
        block(0x21, 0x11, four(more=told(3, b"abcde"))),
        summed(0x21, 0x11, four()).replace(ip_address("203.0.113.7").packed, bytes((203, 0, 113, 8))),
        summed(0x21, 0x11, four(), after=told(2, b"app.example")).replace(b"app", b"ape"),
        summed(0x21, 0x11, four(), after=told(3, bytes(4))),
        b"\r\n\r\n\0\r\nQUIT\r" + block(0x21, 0x11, four())[12:],
    ],
)
def test_no_blocks(header: bytes):
    """[3.16]: what is nearly a header of version 2."""
    with pytest.raises(ValueError, match=r"."):
        read(header)


def test_the_checksum_is_the_standards():
    """[3.16]: RFC 3720 appendix B.4, and the value by which every CRC32c is known."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@given(st.binary(max_size=120), st.binary(min_size=4, max_size=4), st.binary(max_size=60))
def test_garbage(line: bytes, rest: bytes, body: bytes):
    """[3.16]: whatever comes is an address, nobody's, or no header."""
    for attempt in (lambda: read_line(b"PROXY " + line), lambda: read_block(SIGNATURE + rest, body)):
        try:
            found = attempt()
        except ValueError:
            continue
        assert not found or str(ip_address(found)) == found
