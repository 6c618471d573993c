"""Certificates that are looked at: read anew as their files change, and told of once they have expired."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.edge.telemetry.logs import Logs
from gateway.http.downstream.certificates import Certificates, watch


class CertificateWatch:
    """Watches the certificates that are served.

    Args:
        current: returns those of now, None where there are none.
        logs: are told what became of them.
        clock: seconds since the epoch.
    """

    def __init__(
        self, current: Callable[[], Certificates | None], logs: Logs, clock: Callable[[], float]
    ) -> None:
        self._current = current
        self._logs = logs
        self._clock = clock
        self._overdue: dict[str, float] = {}
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look, and go on looking, where there are certificates."""
        if (certificates := self._current()) is not None:
            self._look_at(certificates)
            self._watching = asyncio.create_task(watch(self._current, self.renewed, self._look_at))

    async def close(self) -> None:
        """Look no longer."""
        if self._watching is not None:
            self._watching.cancel()

    def renewed(self, error: Exception | None) -> None:
        """Tell that they were read anew, or why that failed."""
        if error is None:
            self._logs.info("certificates reloaded")
        else:
            # its text is our own, and tells file and cause
            self._logs.error("certificates unchanged", detail=str(error))

    def _look_at(self, certificates: Certificates) -> None:
        """Tell once of each certificate that has expired."""
        overdue = certificates.overdue(self._clock())
        for file, end in overdue.items():
            if self._overdue.get(file) != end:
                when = datetime.fromtimestamp(end, UTC).isoformat()
                self._logs.error("certificate expired", file=file, expired=when)
        self._overdue = overdue
