"""Structured logs: one JSON object a line, without secrets, and never in the way of the event loop."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Final, Protocol

from gateway.core.config import LogSettings
from gateway.core.model import Matter, Outcome
from gateway.edge.log_values import MOST_FIELDS, MOST_VALUE, clean_text, encode_member
from gateway.edge.log_writer import Writer

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MOST_KNOWN: Final = 4096
_MILLISECONDS: Final = tuple(f"{number:03d}Z" for number in range(1000))


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: str) -> None:
        """Take one line without its line feed; never blocks, never raises."""

    def close(self) -> None:
        """Get out what is held."""

    def stats(self) -> Mapping[str, float]:
        """Return figures for the metrics."""


class _Direct:
    """Hands each line on at once; a callable that raises costs that line and nothing else."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._dropped = 0

    def write(self, line: str) -> None:
        try:
            self._write(line)
        except Exception:  # noqa: BLE001 - a broken log must not break a request
            self._dropped += 1

    def close(self) -> None:
        """Nothing is held."""

    def stats(self) -> Mapping[str, float]:
        return {"dropped_lines_total": float(self._dropped)}


class Logs:
    """Access lines, audit events and messages, as JSON lines.

    Args:
        settings: ``level`` is the least level of ``info`` and ``error`` messages; audit events are always
            written.
        write: takes each line at once, without its line feed; standard error, gathered, when None.
        clock: wall time in seconds since the epoch, for the time stamps.
        worker: the number of the worker, which every line then ends with.
    """

    def __init__(
        self,
        settings: LogSettings,
        write: Callable[[str], object] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        worker: int | None = None,
    ) -> None:
        self._end = "}" if worker is None else f',"worker":{worker}}}'
        self._taken = {"time", "level", "event", *(() if worker is None else ("worker",))}
        self._sink: Sink = _Direct(write) if write is not None else Writer(_stderr())
        self._put = self._sink.write
        self.configure(settings)
        self._clock = clock
        self._second = -1
        self._stamp = ""
        self._known: dict[tuple[object, ...], str] = {}

    def configure(self, settings: LogSettings) -> None:
        """Go on with these settings."""
        self._least = _LEVELS[settings.level]

    def access(self, outcome: Outcome) -> None:
        """Write the one line of a finished request. On the hot path: the line is put together by hand."""
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._tick(second)
        status, about, path = outcome.status, outcome.about, outcome.path
        known = about.line
        if known is None or known[0] != status:
            known = about.line = (status, self._told_of(about, status, None if path is None else ""))
        told = known[1] if path is None else f',"path":{_encode_path(path)}{known[1]}'
        time_stamp = f"{self._stamp}{_MILLISECONDS[int((now - second) * 1000)]}"
        sizes = f',"bytes_in":{outcome.bytes_in},"bytes_out":{outcome.bytes_out}'
        seconds = outcome.upstream_seconds
        if seconds is not None:
            sizes = f'{sizes},"upstream_us":{int(seconds * 1e6)}'
        if outcome.fault is not None:
            sizes = f'{sizes},"fault":{quote(outcome.fault)}'
        self._put(
            f'{{"time":"{time_stamp}","level":"info","event":"request"'
            f',"request_id":"{outcome.request_id}"{told}'
            f',"gateway_us":{int(outcome.gateway_seconds * 1e6)}'
            f',"total_us":{int(outcome.total_seconds * 1e6)}{sizes}{self._end}'
        )

    def _told_of(self, about: Matter, status: int, path: str | None) -> str:
        """Return what is told of a matter; ``path`` is empty where each request tells its own."""
        kind = (about.method, about.host, about.route, about.decision, about.reason, status)
        who = (about.issuer, about.subject, about.session_id)
        more = self._known.get(who)
        if more is None:
            more = self._remember(who, _encode_who(about))
        if about.upstream is not None:
            more = f'{more},"upstream":{quote(about.upstream)}'
        told = self._known.get(kind) or self._remember(kind, _encode_kind(about, status))
        where = f',"path":{_encode_path(about.path)}' if path is None else path
        return f'{where},"client":{quote(about.client)}{told}{more}'

    def audit(self, event: str, **fields: object) -> None:
        """Write an audit event. Fields that are None are left out."""
        self._line("info", event, fields)

    def error(self, message: str, **fields: object) -> None:
        """Write an error of our own; an exception among the fields is told by type and our own frames."""
        self._line("error", "error", {"message": message, **fields})

    def info(self, message: str, **fields: object) -> None:
        """Write a message about the process itself."""
        if self._least <= _LEVELS["info"]:
            self._line("info", "message", {"message": message, **fields})

    def warning(self, message: str, **fields: object) -> None:
        """Write a message about what may become an error."""
        if self._least <= _LEVELS["warning"]:
            self._line("warning", "message", {"message": message, **fields})

    def stats(self) -> Mapping[str, float]:
        """Return figures for the metrics: lines dropped, bytes waiting."""
        return self._sink.stats()

    def close(self) -> None:
        """Get out what is held. Lines that come later are still taken."""
        self._sink.close()

    def _remember(self, key: tuple[object, ...], text: str) -> str:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = text
        return text

    def _tick(self, second: int) -> None:
        self._second = second
        self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))

    def _line(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._tick(second)
        members = [
            f'"time":"{self._stamp}{int((now - second) * 1000):03d}Z"',
            f'"level":"{level}"',
            f'"event":{quote(clean_text(event))}',
        ]
        members.extend(
            encode_member(name, value)
            for name, value in list(fields.items())[:MOST_FIELDS]
            if value is not None and name not in self._taken
        )
        self._put("{" + ",".join(members) + self._end)


def _encode_path(path: str) -> str:
    if len(path) > MOST_VALUE or "eyJ" in path or "=" in path or "@" in path or " " in path:
        path = clean_text(path)
    return quote(path)


def _encode_kind(about: Matter, status: int) -> str:
    return (
        f',"method":{quote(about.method[:32])},"host":{quote(clean_text(about.host, 256))}'
        f',"route":{quote(about.route)},"decision":{quote(about.decision)}'
        f',"reason":{quote(about.reason)},"status":{status}'
    )


def _encode_who(about: Matter) -> str:
    named = (("issuer", about.issuer), ("subject", about.subject), ("session", about.session_id))
    return "".join([f',"{name}":{quote(clean_text(value))}' for name, value in named if value is not None])


def _stderr() -> int:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return 2
