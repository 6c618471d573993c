"""Open files: as many as the system allows, and a word where they are too few."""

import asyncio
import contextlib
import errno
import os
import resource
from typing import Final

from gateway.config.settings.root import Settings
from gateway.edge.telemetry.logs import Logs

# what a worker has open besides: its libraries' files, the store's and providers' connections, health checks
_SLACK: Final = 256
# some systems promise a thousand millions; programs that are started from here may go through them all
_MOST_RAISED: Final = 1 << 20
_LOOK_EVERY: Final = 1.0
_SAY_EVERY: Final = 60.0


def raise_limit() -> int:
    """Raise the limit of open files as far as this process may, and those that it starts; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_RAISED if hard == resource.RLIM_INFINITY else min(hard, _MOST_RAISED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # some systems allow less than their hard limit says
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def count_needed(settings: Settings) -> int:
    """Return how many files one worker may have open at most: clients, upstreams and what else there is."""
    upstreams = sum(len(each.servers) * each.max_connections for each in settings.upstreams.values())
    return settings.limits.connections + upstreams + _SLACK


def prepare(settings: Settings, logs: Logs) -> None:
    """Raise the limit; say so once where it is still less than the configuration lets a worker use."""
    limit, needed = raise_limit(), count_needed(settings)
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return
    logs.warning(
        "fewer open files are allowed than limits.connections and the upstreams' max_connections may need:"
        " raise the hard limit (ulimit -Hn, LimitNOFILE) or lower those",
        limit=limit,
        needed=needed,
    )


async def watch(logs: Logs, *, look_every: float = _LOOK_EVERY, say_every: float = _SAY_EVERY) -> None:
    """Say in the log, once in a while, that no file can be opened: forever.

    libuv closes the connections that it cannot take in without a word to anybody, so the limit is tried.

    Args:
        logs: of this process.
        look_every: seconds between two tries.
        say_every: seconds of silence after each line.
    """
    while True:
        await asyncio.sleep(look_every)
        if (error := _try()) is not None:
            logs.error("no file can be opened: new connections are closed", reason=error)
            await asyncio.sleep(say_every)


def _try() -> str | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.strerror if error.errno in (errno.EMFILE, errno.ENFILE) else None
    return None
