"""What the figures were a moment ago: rates and percentiles need two readings. Bounded in time and size."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Final

from gateway.edge.telemetry.metric_merge import Samples

READ_EVERY: Final = 4.0
"""Seconds between two readings."""
_KEPT: Final = 151
_MOST_NAMES: Final = 300
WINDOW: Final = 60.0
"""Seconds that a rate of now looks back."""

Buckets = Mapping[float, float]
"""Of a histogram: how many were at most so many seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of one moment; ``at`` is in seconds of a clock that never goes back.

    ``outcomes`` are requests by (decision, reason, class of status), ``routes`` requests by route.
    ``restarts`` are workers that have ended unasked, ``dropped`` log lines, ``ended`` streams that were.
    """

    at: float
    requests: float = 0.0
    errors: float = 0.0
    refused: float = 0.0
    refreshes: float = 0.0
    refreshes_failed: float = 0.0
    logins: float = 0.0
    logins_failed: float = 0.0
    restarts: float = 0.0
    dropped: float = 0.0
    revocations: float = 0.0
    ended: float = 0.0
    own: Buckets = field(default_factory=dict)
    upstream: Buckets = field(default_factory=dict)
    outcomes: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    routes: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    upstreams: Mapping[str, Buckets] = field(default_factory=dict)


def read(samples: Samples, at: float) -> Reading:
    """Return the reading of these figures."""
    outcomes = samples.by("gateway_requests_total", "decision", "reason", "status")
    refreshes = samples.by("gateway_refreshes_total", "outcome")
    logins = samples.by("gateway_logins_total", "outcome")
    upstreams: dict[str, dict[float, float]] = {}
    for (name, edge), value in samples.by("gateway_upstream_seconds_bucket", "upstream", "le").items():
        if name in upstreams or len(upstreams) < _MOST_NAMES:
            upstreams.setdefault(name, {})[float(edge)] = value
    return Reading(
        at,
        requests=sum(outcomes.values()),
        errors=sum(value for key, value in outcomes.items() if key[2] == "5xx"),
        refused=sum(value for key, value in outcomes.items() if key[0] == "refuse"),
        refreshes=refreshes.get(("renewed",), 0.0),
        refreshes_failed=refreshes.get(("failed",), 0.0) + refreshes.get(("reuse_detected",), 0.0),
        logins=logins.get(("completed",), 0.0),
        logins_failed=logins.get(("failed",), 0.0),
        restarts=samples.total("gateway_workers_restarts_total"),
        dropped=samples.total("gateway_log_dropped_lines_total"),
        revocations=samples.total("gateway_revocations_total"),
        ended=samples.total("gateway_streams_ended_total"),
        own=_buckets(samples, "gateway_own_seconds_bucket"),
        upstream=_buckets(samples, "gateway_upstream_seconds_bucket"),
        outcomes=_most(outcomes),
        routes=_most(samples.by("gateway_requests_total", "route")),
        upstreams=upstreams,
    )


def _buckets(samples: Samples, name: str) -> Buckets:
    return {float(edge): value for (edge,), value in samples.by(name, "le").items()}


def _most(found: Mapping[tuple[str, ...], float]) -> Mapping[tuple[str, ...], float]:
    if len(found) <= _MOST_NAMES:
        return found
    return dict(sorted(found.items(), key=lambda pair: -pair[1])[:_MOST_NAMES])


class History:
    """The readings of the last ten minutes."""

    def __init__(self) -> None:
        self._kept: deque[Reading] = deque(maxlen=_KEPT)

    def note(self, reading: Reading) -> None:
        """Keep one more, and forget the oldest."""
        self._kept.append(reading)

    @property
    def newest(self) -> Reading | None:
        """The last reading, None before any."""
        return self._kept[-1] if self._kept else None

    @property
    def reach(self) -> float:
        """Seconds that the readings span."""
        return self._kept[-1].at - self._kept[0].at if self._kept else 0.0

    def window(self, seconds: float = WINDOW) -> "tuple[Reading, Reading] | None":
        """Return the newest reading and the one that is about ``seconds`` older, None before two."""
        if len(self._kept) < 2:
            return None
        newest = self._kept[-1]
        # half a step of mercy, since no two readings are exactly as far apart as they should be
        due = newest.at - seconds - READ_EVERY / 2
        before = next((each for each in self._kept if each.at >= due), self._kept[0])
        return (before, newest) if before is not newest else (self._kept[-2], newest)

    def rate(self, figure: Callable[[Reading], float], seconds: float = WINDOW) -> float | None:
        """Return how much a counter rose by a second, None before two readings."""
        if (found := self.window(seconds)) is None:
            return None
        before, newest = found
        return risen(figure(before), figure(newest)) / (newest.at - before.at)

    def line(self, figure: Callable[[Reading], float], per: float = 1.0) -> list[float | None]:
        """Return the rates between one reading and the next, each by ``per`` seconds."""
        kept = list(self._kept)
        return [
            risen(figure(one), figure(other)) / (other.at - one.at) * per for one, other in pairwise(kept)
        ]

    def percentiles(
        self, figure: Callable[[Reading], Buckets], wanted: Sequence[float], seconds: float = WINDOW
    ) -> list[float | None]:
        """Return percentiles (0 to 1) of what a histogram observed lately, None where that was nothing."""
        if (found := self.window(seconds)) is None:
            return [None] * len(wanted)
        return [percentile(figure(found[0]), figure(found[1]), each) for each in wanted]

    def percentile_line(self, figure: Callable[[Reading], Buckets], wanted: float) -> list[float | None]:
        """Return a percentile between one reading and the next; None where nothing was observed."""
        kept = list(self._kept)
        return [percentile(figure(one), figure(other), wanted) for one, other in pairwise(kept)]


def risen(before: float, after: float) -> float:
    """Return what a counter rose by; one that fell was begun anew."""
    return after - before if after >= before else after


def percentile(before: Buckets, after: Buckets, wanted: float) -> float | None:
    """Return a percentile of what was observed between two readings of a histogram, in seconds.

    Within a bucket it is taken to be spread evenly; beyond the last bound it is that bound.
    """
    edges = sorted(after)
    counts = [max(0.0, after[edge] - before.get(edge, 0.0)) for edge in edges]
    if not counts or counts[-1] <= 0:
        return None
    rank = wanted * counts[-1]
    place = min(bisect_left(counts, rank), len(counts) - 1)
    low, high = (edges[place - 1] if place else 0.0), edges[place]
    if high == inf:
        return low
    under = counts[place - 1] if place else 0.0
    within = counts[place] - under
    return high if within <= 0 else low + (high - low) * (rank - under) / within
