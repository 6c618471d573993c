"""Listening sockets: one for each worker's slot, bound once and kept for whoever serves in that slot.

With several slots the kernel spreads new connections over them (SO_REUSEPORT). What has queued on a socket is
reset when its last holder closes it: so the supervisor holds every one, and a worker that dies loses no
connection that it had not accepted.
"""

import contextlib
import socket
from typing import TypeAlias

from gateway.http.sockets import BACKLOG, prepare_listener
from gateway.syntax.urls import parse_listen

Sockets: TypeAlias = "tuple[socket.socket, ...]"
"""One socket for each address that a listener's name has."""


def bind(listen: str, slots: int) -> list[Sockets]:
    """Bind and listen; return the sockets of each slot.

    Raises:
        OSError: the address is taken, not ours or not known.
    """
    address = parse_listen(listen)
    assert address is not None
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = list(dict.fromkeys((family, name) for family, _, _, _, name in found))
    with contextlib.ExitStack() as undo:
        columns = [_bind_one(family, name, slots, undo) for family, name in places]
        for each in (each for column in columns for each in column):
            prepare_listener(each)
            each.listen(BACKLOG)
        undo.pop_all()
    return list(zip(*columns, strict=True))


def _bind_one(
    family: int, name: tuple[object, ...], slots: int, undo: contextlib.ExitStack
) -> list[socket.socket]:
    first = undo.enter_context(_open(family))
    # without SO_REUSEPORT: a port that another process serves is refused, also where that one would share it
    first.bind(name)
    if slots == 1:
        return [first]
    name = first.getsockname()
    first.close()
    shared = []
    for _ in range(slots):
        each = undo.enter_context(_open(family))
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        each.bind(name)
        shared.append(each)
    return shared


def _open(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
