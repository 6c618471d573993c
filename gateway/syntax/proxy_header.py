"""The PROXY protocol's header, versions 1 and 2: what a proxy says of a connection before its first byte."""

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""How a header of version 2 begins; as many bytes as tell the versions apart."""

LEAST: Final = len(SIGNATURE) + 4
MOST_LINE: Final = 107
MOST_BLOCK: Final = 4096
"""Bytes of a header of version 1, and of what follows the first 16 of version 2."""

UNTOLD: Final = ""
"""The address of a client that a proxy does not tell: nobody's."""

_LINE: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9a-fA-F:.]{2,45}) ([0-9a-fA-F:.]{2,45}) ([0-9]{1,5}) ([0-9]{1,5})\r\n"
)
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_LOCAL: Final = 0x20
_PROXIED: Final = 0x21
_TCP: Final = {0x11: (12, 4), 0x21: (36, 16)}
_CHECKSUM: Final = 0x03
_CHECKSUM_BYTES: Final = 4
# the polynomial of CRC32c (RFC 3720 appendix B.4), its bits in reverse
_CASTAGNOLI: Final = 0x82F63B78
# unspecified, and a Unix socket's: a proxy with no address to tell
_NAMELESS: Final = frozenset({0x00, 0x31})


def read_line(line: bytes) -> str:
    """Return the client's address of a whole header of version 1, ``UNTOLD`` where it tells none.

    Raises:
        ValueError: it is none.
    """
    if _UNKNOWN.fullmatch(line) is not None and len(line) <= MOST_LINE:
        return UNTOLD
    found = _LINE.fullmatch(line)
    if found is None or int(found[4]) > 65535 or int(found[5]) > 65535:
        raise ValueError("no header of version 1")
    addresses = [ip_address(found[place].decode()) for place in (2, 3)]
    if any(address.version != int(found[1]) for address in addresses):
        raise ValueError("an address of another family")
    return _text(addresses[0])


def read_length(start: bytes) -> int:
    """Return how many bytes follow the first 16 of a header of version 2.

    Raises:
        ValueError: they are none of one, or more follow than anybody needs.
    """
    length: int = struct.unpack("!H", start[14:16])[0]
    if not start.startswith(SIGNATURE) or start[12] not in (_LOCAL, _PROXIED) or length > MOST_BLOCK:
        raise ValueError("no header of version 2")
    return length


def read_block(start: bytes, block: bytes) -> str | None:
    """Return the client's address of a header of version 2, ``UNTOLD`` where it tells none.

    None: the proxy speaks for itself (LOCAL), as in a health check.

    Args:
        start: the first 16 bytes, which ``read_length`` took.
        block: what follows: addresses, then what else the proxy tells, of which only a checksum is read.

    Raises:
        ValueError: the addresses, or what else is told, are cut short; they are of a transport that no
            connection here has; the checksum is another header's.
    """
    if start[12] == _LOCAL:
        return None
    family = start[13]
    if family in _NAMELESS:
        return UNTOLD
    if family not in _TCP or len(block) < _TCP[family][0]:
        raise ValueError("no addresses of TCP")
    _check(start, block, _TCP[family][0])
    packed = block[: _TCP[family][1]]
    return _text(IPv4Address(packed) if family == 0x11 else IPv6Address(packed))


def _check(start: bytes, block: bytes, begin: int) -> None:
    """Read what follows the addresses, each with a type and a length. Raises ValueError."""
    is_checked = False
    while begin < len(block):
        value = begin + 3
        end = value + int.from_bytes(block[begin + 1 : value], "big")
        if end > len(block) or value > len(block):
            raise ValueError("cut short")
        if block[begin] == _CHECKSUM:
            # a sum is one, and of the header in which its own place is empty
            if is_checked or end - value != _CHECKSUM_BYTES:
                raise ValueError("no checksum")
            is_checked = True
            blank = start + block[:value] + bytes(_CHECKSUM_BYTES) + block[end:]
            if crc32c(blank) != int.from_bytes(block[value:end], "big"):
                raise ValueError("the checksum of another header")
        begin = end


def crc32c(data: bytes) -> int:
    """Return the CRC32c of some bytes."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest = _REMAINDERS[(rest ^ byte) & 0xFF] ^ (rest >> 8)
    return rest ^ 0xFFFFFFFF


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_CASTAGNOLI if byte & 1 else 0)
    return byte


_REMAINDERS: Final = tuple(map(_remainder, range(256)))


def _text(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
