"""Reads the PROXY protocol's header from a socket, and not one byte more: TLS or HTTP begins behind it."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from gateway.syntax.proxy_header import LEAST, MOST_LINE, SIGNATURE, read_block, read_length, read_line


class HeaderPeers:
    """The networks from which each connection begins with a header; from elsewhere none does."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(each, strict=False) for each in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, peer: object) -> bool:
        if not self._networks:
            return False
        try:
            address = ip_address(str(peer).partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks)


async def read_source(loop: asyncio.AbstractEventLoop, sock: socket.socket, peer: str, most: float) -> str:
    """Return the address of whom a proxy speaks for: ``peer`` where that is itself, empty where untold.

    Raises:
        OSError: the connection ended, or nothing came within ``most`` seconds. ValueError: no header came.
    """
    async with asyncio.timeout(most):
        start = await _exactly(loop, sock, len(SIGNATURE))
        if start == SIGNATURE:
            start += await _exactly(loop, sock, LEAST - len(SIGNATURE))
            found = read_block(start, await _exactly(loop, sock, read_length(start)))
            return peer if found is None else found
        if not start.startswith(b"PROXY "):
            raise ValueError("no header")
        # a line tells its end by itself alone
        while not start.endswith(b"\n") and len(start) < MOST_LINE:
            start += await _exactly(loop, sock, 1)
        return read_line(start)


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise ConnectionResetError("the connection ended within its header")
        data += more
    return data
