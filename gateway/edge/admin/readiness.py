"""Whether a process serves, and what ails it although it does.

A balancer takes whoever is not ready out of its rotation. What every replica shares, the store above all,
would take out all of them at once, so its trouble is told and is no reason by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.settings.root import Settings
from gateway.core.rules.denylist import Denylist
from gateway.syntax.encoding import Json


@dataclass(frozen=True, slots=True)
class Readiness:
    """By check what keeps the process from serving, or None; by name what is wrong and does not.

    ``workers`` is what each worker tells, where there are several processes.
    """

    checks: Mapping[str, str | None]
    troubles: Mapping[str, str] = field(default_factory=dict)
    workers: list[Json] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here."""
        return not any(self.checks.values())

    def to_json(self) -> dict[str, Json]:
        """Return what ``/readyz`` answers."""
        document: dict[str, Json] = {
            "status": "ready" if self.is_ready else "unready",
            "checks": {name: wrong or "ok" for name, wrong in self.checks.items()},
        }
        if self.troubles:
            document["troubles"] = dict(self.troubles)
        if self.workers is not None:
            document["workers"] = self.workers
        return document


def judge(settings: Settings, denylist: Denylist, store_trouble: str | None, now: float) -> Readiness:
    """Tell whether a worker would serve at ``now``, epoch seconds (R87).

    A replica that was never whole keeps a worker out as long as any rule waits for it: it has just started,
    and others serve meanwhile. One that has become stale does so only where every rule refuses for it.
    """
    troubles = {"store": store_trouble} if store_trouble is not None else {}
    if denylist.is_fresh(now, settings.denylist.max_staleness):
        return Readiness({"denylist": None}, troubles)
    waiting = [
        route
        for route in settings.routes
        if route.access != "public" and (route.when_stale or settings.denylist.when_stale) == "refuse"
    ]
    if denylist.synchronised_at is None:
        return Readiness({"denylist": "the denylist was not read yet" if waiting else None}, troubles)
    stale = "the denylist replica is stale"
    # who shows no credentials goes on at an optional route
    if len(waiting) == len(settings.routes) and all(route.access == "required" for route in waiting):
        return Readiness({"denylist": stale}, troubles)
    return Readiness({"denylist": None}, troubles | {"denylist": stale})
