"""Structured logs: one JSON object a line, without secrets, and never in the way of the event loop."""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as quote
from math import inf
from typing import Final, Protocol

from gateway.config.settings.listener import LogSettings
from gateway.core.headers.request import Header
from gateway.core.identity import Identity
from gateway.core.outcome import Outcome, RequestFacts
from gateway.edge.clock import CLOCK
from gateway.edge.telemetry.log_values import MOST_FIELDS, MOST_VALUE, clean_text, encode, encode_member
from gateway.edge.telemetry.log_writer import Writer

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MOST_KNOWN: Final = 4096
# most durations are short, and to write a number takes longer than to look it up
_FEW: Final = 1000
_NUMBERS: Final = tuple(map(str, range(_FEW)))
_MILLISECONDS: Final = tuple(f"{number:03d}Z" for number in range(1000))
_PECULIAR: Final = re.compile('[=%@ "]').search


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
        clock: Callable[[], float] = CLOCK,
        worker: int | None = None,
    ) -> None:
        self._end = "}" if worker is None else f',"worker":{worker}}}'
        self._taken = {"time", "level", "event", *(() if worker is None else ("worker",))}
        self._sink: Sink = _Direct(write) if write is not None else Writer(_stderr())
        self._put = self._sink.write
        self.configure(settings)
        self._clock = clock
        self._second = -inf
        self._stamp = ""
        self._known: dict[tuple[object, ...], str] = {}

    def configure(self, settings: LogSettings) -> None:
        """Go on with these settings."""
        self._least = _LEVELS[settings.level]

    def access(self, outcome: Outcome) -> None:
        """Write the one line of a finished request. On the hot path: the line is put together by hand."""
        now = self._clock()
        since = now - self._second
        if not 0.0 <= since < 1.0:
            since = self._tick(now)
        status, about = outcome.status, outcome.about
        kind = (about.method, about.host, about.route, about.decision, about.reason, status, about.upstream)
        told = self._known.get(kind) or self._remember(kind, _encode_kind(about, status))
        who = "" if about.identity is None else _who(about.identity, about.claims)
        taken, end = outcome.upstream_seconds, self._end
        if outcome.fault is not None:
            end = f',"fault":{quote(outcome.fault)}{end}'
        if taken is not None:
            upstream = int(taken * 1e6)
            end = f',"upstream_us":{_NUMBERS[upstream] if upstream < _FEW else upstream}{end}'
        if outcome.headers:
            end = _encode_headers(outcome.headers) + end
        own, total = int(outcome.gateway_seconds * 1e6), int(outcome.total_seconds * 1e6)
        self._put(
            f'{self._stamp}{_MILLISECONDS[int(since * 1000)]}","level":"info","event":"request"'
            f',"request_id":"{outcome.request_id}","path":{_encode_path(about.path)}'
            f',"client":{quote(about.client)}{told}{who}'
            f',"gateway_us":{_NUMBERS[own] if own < _FEW else own}'
            f',"total_us":{_NUMBERS[total] if total < _FEW else total}'
            f',"bytes_in":{outcome.bytes_in or "0"},"bytes_out":{outcome.bytes_out}{end}'
        )

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

    def _tick(self, now: float) -> float:
        """Begin another second, and return what has passed of it."""
        second = int(now)
        self._second = float(second)
        self._stamp = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
        return now - second

    def _line(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        now = self._clock()
        since = now - self._second
        if not 0.0 <= since < 1.0:
            since = self._tick(now)
        members = [
            f'{self._stamp}{_MILLISECONDS[int(since * 1000)]}"',
            f'"level":"{level}"',
            f'"event":{quote(clean_text(event))}',
        ]
        members.extend(
            encode_member(name, value)
            for name, value in list(fields.items())[:MOST_FIELDS]
            if value is not None and name not in self._taken
        )
        self._put(",".join(members) + self._end)


def _encode_path(path: str) -> str:
    if len(path) > MOST_VALUE or "eyJ" in path or _PECULIAR(path) is not None:
        path = clean_text(path)
    return quote(path)


def _encode_kind(about: RequestFacts, status: int) -> str:
    upstream = "" if about.upstream is None else f',"upstream":{quote(about.upstream)}'
    return (
        f',"method":{quote(about.method[:32])},"host":{quote(clean_text(about.host, 256))}'
        f',"route":{quote(about.route)},"decision":{quote(about.decision)}'
        f',"reason":{quote(about.reason)},"status":{status}{upstream}'
    )


def _who(identity: Identity, claims: tuple[tuple[str, str], ...]) -> str:
    """Return what is told of a person; it is remembered with the identity."""
    known = identity.text
    if known is not None and known[0] == claims:
        return known[1]
    named = (("issuer", identity.issuer), ("subject", identity.subject), ("session", identity.session_id))
    told = "".join([f',"{name}":{quote(clean_text(value))}' for name, value in named if value is not None])
    if claims:
        told = f'{told},"claims":{encode(dict(claims))}'
    identity.text = (claims, told)
    return told


def _encode_headers(headers: tuple[Header, ...]) -> str:
    # a client chooses how many there are, so the first of each name counts
    told: dict[str, str] = {}
    for name, value in headers:
        told.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
    return f',"request_headers":{encode(told)}'


def _stderr() -> int:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return 2
