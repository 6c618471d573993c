"""Structured logs: one JSON object a line, without secrets, and never in the way of the event loop."""

import contextlib
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as quote
from math import inf
from typing import Final, Protocol

from gateway.config.settings.logs import LogSettings
from gateway.core.headers.request import Header
from gateway.core.identity import Identity
from gateway.core.outcome import CORRELATION, Kind, Outcome
from gateway.edge.clock import CLOCK
from gateway.edge.telemetry.log_values import MOST_FIELDS, MOST_VALUE, clean_text, encode, encode_member
from gateway.edge.telemetry.log_writer import Writer

MOST_RECENT: Final = 25
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# most durations are short, and to write a number takes longer than to look it up
_FEW: Final = 1000
_NUMBERS: Final = tuple(map(str, range(_FEW)))
_MILLISECONDS: Final = tuple(f"{number:03d}Z" for number in range(1000))
# paths in which nothing is masked or escaped, but where something begins as a JWT does
_PLAIN: Final = re.compile(f"[A-Za-z0-9/._~!$&'()*+,;:-]{{0,{MOST_VALUE}}}").fullmatch


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: str) -> None:
        """Take an access line without its line feed; never blocks, never raises."""

    def tell(self, level: str, event: str, line: str) -> None:
        """Take any other line; never blocks, never raises."""

    def close(self) -> None:
        """Get out what is held."""

    def stats(self) -> Mapping[str, float]:
        """Return figures for the metrics."""

    @property
    def trouble(self) -> str | None:
        """Why lines are not taken now, None where they are."""


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

    def tell(self, level: str, event: str, line: str) -> None:  # noqa: ARG002 - a sink's
        self.write(line)

    def close(self) -> None:
        """Nothing is held."""

    def stats(self) -> Mapping[str, float]:
        return {"dropped_lines_total": float(self._dropped)}

    @property
    def trouble(self) -> str | None:
        """Nothing is known of what takes them."""
        return None


class Logs:
    """Access lines, audit events and messages, as JSON lines.

    Args:
        settings: ``level`` is the least level of ``info`` and ``error`` messages; audit events are always
            written.
        write: takes each line at once, without its line feed; standard error, gathered, when None.
        sink: where lines go, in place of ``write``.
        audit: where audit events go, as JSON; where all lines go when None.
        clock: wall time in seconds since the epoch, for the time stamps.
        worker: the number of the worker, which every line then ends with.

    Attributes:
        keep: takes each audit event beside, its fields and its line, where events are kept.
        audited: where audit events go, None where all lines go there.
        recent: the newest lines about what went wrong, and about reloads, the oldest first.
    """

    def __init__(
        self,
        settings: LogSettings,
        write: Callable[[str], object] | None = None,
        *,
        clock: Callable[[], float] = CLOCK,
        worker: int | None = None,
        sink: Sink | None = None,
        audit: Sink | None = None,
    ) -> None:
        self._end = "}" if worker is None else f',"worker":{worker}}}'
        self._taken = {"time", "level", "event", *(() if worker is None else ("worker",))}
        if sink is None:
            sink = _Direct(write) if write is not None else Writer(_stderr())
        self._sink: Sink = sink
        self.audited: Sink | None = audit
        self._put: Callable[[str], object] = sink.write
        self._take: Callable[[str], object] | None = None
        self._worker = worker
        self._format: Callable[[Outcome, float], str] | None = None
        self._rewrite: Callable[[str], str] | None = None
        self.configure(settings)
        self._clock = clock
        self._second = -inf
        self._stamp = ""
        self.keep: Callable[[str, Mapping[str, object], str], None] | None = None
        self.recent: deque[str] = deque(maxlen=MOST_RECENT)

    def configure(self, settings: LogSettings) -> None:
        """Go on with these settings."""
        self._least = _LEVELS[settings.level]
        self._format = self._rewrite = None
        if settings.format != "json":
            # most have no need of them
            from gateway.edge.telemetry import log_formats  # noqa: PLC0415

            self._format = log_formats.format_of(settings, self._worker)
            self._rewrite = log_formats.to_logfmt if settings.format == "logfmt" else None
        self._choose()

    def tee(self, take: Callable[[str], object] | None) -> None:
        """Let each line go to ``take`` as well, which never raises; None: no longer."""
        self._take = take
        self._choose()

    def _choose(self) -> None:
        """Choose where access lines in JSON go; with another format only to whoever takes them beside."""
        write, take = self._sink.write, self._take
        if take is None:
            self._put = write
        elif self._format is not None:
            self._put = take
        else:

            def both(line: str) -> None:
                write(line)
                take(line)

            self._put = both

    def access(self, outcome: Outcome, told: str) -> None:
        """Write the one line of a finished request. On the hot path: the line is put together by hand.

        ``told`` is what ``tell_kind`` tells of its kind.
        """
        now = self._clock()
        if self._format is not None:
            self._sink.write(self._format(outcome, now))
            if self._take is None:
                return
        since = now - self._second
        if not 0.0 <= since < 1.0:
            since = self._tick(now)
        identity, who = outcome.identity, ""
        if identity is not None:
            known = identity.text
            is_known = known is not None and known[0] == outcome.claims
            who = known[1] if known is not None and is_known else _who(identity, outcome.claims)
        path = outcome.path
        path = f'"{path}"' if _PLAIN(path) is not None and "eyJ" not in path else quote(clean_text(path))
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
            f',"request_id":"{outcome.request_id}","path":{path}'
            f',"client":{quote(outcome.client)}{told}{who}'
            f',"gateway_us":{_NUMBERS[own] if own < _FEW else own}'
            f',"total_us":{_NUMBERS[total] if total < _FEW else total}'
            f',"bytes_in":{outcome.bytes_in or "0"},"bytes_out":{outcome.bytes_out}{end}'
        )

    def audit(self, event: str, **fields: object) -> None:
        """Write an audit event. Fields that are None are left out."""
        line = self._made("info", event, fields)
        if self.audited is None:
            self._out("info", event, line)
        else:
            self.audited.tell("info", event, line)
            if self._take is not None:
                self._take(line)
        if self.keep is not None:
            self.keep(event, fields, line)

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
        told = self._sink.stats()
        if self.audited is None:
            return told
        return {**told, **{f"audit_{name}": value for name, value in self.audited.stats().items()}}

    def troubles(self) -> dict[str, str]:
        """Return why lines are not taken now, by where that is: ``log``, ``audit``."""
        sinks = (("log", self._sink), ("audit", self.audited))
        return {name: sink.trouble for name, sink in sinks if sink is not None and sink.trouble is not None}

    def close(self) -> None:
        """Get out what is held. Lines that come later are still taken."""
        self._sink.close()
        if self.audited is not None:
            self.audited.close()

    def _tick(self, now: float) -> float:
        """Begin another second, and return what has passed of it."""
        second = int(now)
        self._second = float(second)
        self._stamp = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
        return now - second

    def _line(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        self._out(level, event, self._made(level, event, fields))

    def _out(self, level: str, event: str, line: str) -> None:
        told = line if self._rewrite is None else self._rewrite(line)
        self._sink.tell(level, event, told)
        if self._take is not None:
            self._take(line)

    def _made(self, level: str, event: str, fields: Mapping[str, object]) -> str:
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
        line = ",".join(members) + self._end
        if level != "info" or event == "reloaded":
            self.recent.append(line)
        return line


def tell_kind(kind: Kind) -> str:
    """Return what access lines tell of requests of a kind."""
    method, host, route, decision, reason, status, upstream = kind
    return (
        f',"method":{quote(method[:32].decode("latin-1"))}'
        f',"host":{quote(clean_text(host.decode("latin-1"), 256))}'
        f',"route":{quote(route)},"decision":{quote(decision)},"reason":{quote(reason)},"status":{status}'
        + ("" if upstream is None else f',"upstream":{quote(upstream)}')
    )


def _who(identity: Identity, claims: tuple[tuple[str, str], ...]) -> str:
    """Return what is told of a person; it is remembered with the identity."""
    key_id = identity.jti if identity.kind == "key" else None
    named = (
        ("issuer", identity.issuer),
        ("subject", identity.subject),
        ("session", identity.session_id),
        ("key", key_id),
    )
    told = "".join([f',"{name}":{quote(clean_text(value))}' for name, value in named if value is not None])
    if claims:
        told = f'{told},"claims":{encode(dict(claims))}'
    identity.text = (claims, told)
    return told


def _encode_headers(headers: tuple[Header, ...]) -> str:
    # a client chooses how many there are, so the first of each name counts
    told: dict[str, str] = {}
    correlated = ""
    for name, value in headers:
        if name == CORRELATION:
            correlated = f',"proxy_request_id":{quote(value.decode("latin-1"))}'
        else:
            told.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "replace"))
    return f'{correlated},"request_headers":{encode(told)}' if told else correlated


def _stderr() -> int:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return 2
