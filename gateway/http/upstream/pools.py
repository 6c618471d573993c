"""The pools of all upstreams, and of those that a reload took away and that are still needed."""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.roles import Clock
from gateway.http.upstream.connection import kept_for
from gateway.http.upstream.pool import UpstreamPool

# longer than a request that was decided under the last configuration waits to be forwarded
_LINGER: Final = 120.0


class Pools(dict[str, UpstreamPool]):
    """Where requests may be forwarded to, by name.

    Raises:
        ValueError: a server's URL is not one. OSError: a file of ``tls`` cannot be used.
    """

    def __init__(self, upstreams: Mapping[str, UpstreamSettings], time: Clock) -> None:
        super().__init__({name: UpstreamPool(settings, time) for name, settings in upstreams.items()})
        self._time = time
        self._leaving: dict[str, float] = {}
        self._retired: set[UpstreamPool] = set()

    def build(self, upstreams: Mapping[str, UpstreamSettings]) -> dict[str, UpstreamPool]:
        """Return the pools of other upstreams; those that are the same stay the same.

        The same are settings and the files of certificates and keys that they name.

        Raises:
            ValueError, OSError: as the constructor.
        """
        pools = {}
        for name, settings in upstreams.items():
            known = self.get(name)
            same = known is not None and known.settings == settings and known.is_current
            pools[name] = known if known is not None and same else UpstreamPool(settings, self._time)
        return pools

    def replace(self, pools: Mapping[str, UpstreamPool]) -> None:
        """Go on with these; what is open ends as it began."""
        for name, pool in self.items():
            if name not in pools:
                # a request that was decided before may still be on its way there
                self._leaving.setdefault(name, self._time.now)
            elif pools[name] is not pool:
                self._retire(pool)
        for name, pool in pools.items():
            self._leaving.pop(name, None)
            self[name] = pool

    def _retire(self, pool: UpstreamPool) -> None:
        pool.retire()
        self._retired.add(pool)

    def readings(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what is open now: a figure's name, its labels, its value."""
        for name, pool in self.items():
            for figure, labels, value in pool.readings():
                yield figure, {"upstream": name, **labels}, value

    @property
    def shortest(self) -> float:
        """The shortest of their times (seconds), none of which is to be missed by much."""
        return min((_shortest_of(pool.settings) for pool in self.values()), default=_LINGER)

    def sweep(self, due: float) -> None:
        """Cut what takes too long; ``due`` is as far as the clock is sure to have come (seconds)."""
        for name, since in tuple(self._leaving.items()):
            if due - since > _LINGER:
                del self._leaving[name]
                self._retire(self.pop(name))
        for pool in (*self.values(), *self._retired):
            pool.sweep(due)
        self._retired = {pool for pool in self._retired if not pool.is_done}

    async def close(self) -> None:
        """Close everything."""
        for pool in (*self.values(), *self._retired):
            await pool.close()


def _shortest_of(settings: UpstreamSettings) -> float:
    return min(
        settings.response_timeout,
        settings.idle_timeout,
        kept_for(settings),
        settings.connect_timeout,
        settings.max_age,
        settings.breaker.delay,
        settings.health.interval if settings.health is not None else settings.max_age,
    )
