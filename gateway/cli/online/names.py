"""Where names lead, asked of the system's resolver in threads that nobody has to wait for.

A resolver that hangs cannot be called off, and the event loop's own threads would be waited for at the end.
"""

import asyncio
import contextlib
import socket
from ipaddress import ip_address
from threading import Thread
from typing import Final

from gateway.cli.online.findings import Finding

QUESTION: Final = "does its name resolve"
NOT_KNOWN: Final = (
    "check the spelling, and whether this machine's DNS knows it (/etc/resolv.conf, /etc/hosts)"
)


class UnknownNameError(Exception):
    """A name leads nowhere; the text says why."""


class Names:
    """Looks each name up once."""

    def __init__(self) -> None:
        self._known: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return a host's addresses.

        Raises:
            UnknownNameError: it has none.
        """
        with contextlib.suppress(ValueError):
            return (str(ip_address(host)),)
        future = self._known.get(host)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._known[host] = loop.create_future()
            Thread(target=_look_up, args=(host, loop, future), daemon=True).start()
        return await asyncio.shield(future)

    async def finding(self, subject: str, host: str) -> Finding:
        """Tell whether a name leads somewhere."""
        try:
            found = await self.addresses(host)
        except UnknownNameError as error:
            if host.endswith(".localhost"):
                told = f"{host} is this machine to browsers (RFC 6761), whatever its resolver says"
                return Finding(subject, QUESTION, "yes", told)
            return Finding(subject, QUESTION, "no", str(error), NOT_KNOWN)
        return Finding(subject, QUESTION, "yes", f"{host} is {', '.join(found[:4])}")


def _look_up(host: str, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[tuple[str, ...]]") -> None:
    found: tuple[str, ...] = ()
    error = UnknownNameError(f"{host} has no address")
    try:
        told = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found = tuple(dict.fromkeys(str(place[0]) for *_, place in told))
    except socket.gaierror as failure:
        is_absent = failure.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        why = "there is no such name" if is_absent else (failure.strerror or "no answer")
        error = UnknownNameError(f"{host}: {why}")
    except (UnicodeError, OSError):
        error = UnknownNameError(f"{host} is no name that can be looked up")

    def tell() -> None:
        if future.done():
            return
        if found:
            future.set_result(found)
        else:
            future.set_exception(error)
            # whether or not anybody still asks
            future.exception()

    # the loop may be over by now
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)
