"""What the console asks of the processes behind it; the supervisor and a single process each offer it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.admin.sessions import Answer
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.edge.telemetry.metric_merge import Samples

MOST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One process that serves. ``memory`` is in bytes; what cannot be told is None.

    ``about`` is what it tells of itself (``gateway.app.describing``), empty where it does not.
    """

    number: int
    pid: int | None
    status: str
    restarts: int = 0
    memory: float | None = None
    started_at: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


Question = Callable[[str, Mapping[str, str], Mandate], Awaitable[Answer]]
"""Asks by an action, its fields, and who asks; raises Fault."""


@dataclass(frozen=True, slots=True)
class Backing:
    """Where what is shown comes from, and what is done.

    Attributes:
        figures: returns the metrics of all processes as they were measured last.
        workers: tells of each process that serves.
        recent: returns the newest log lines of this process about what went wrong, as JSON.
        sessions: ``SessionAdmin.answer`` of one that serves.
        people: ``PeopleAdmin.answer`` of one that serves.
        trail: ``AuditAdmin.answer`` of one that serves.
        logins: ``OperatorLogins.answer`` of one that serves.
        revoke: writes entries and tells which workers hold them; raises Fault.
    """

    figures: Callable[[], Samples]
    workers: Callable[[], Awaitable[list[WorkerState]]]
    recent: Callable[[], list[str]]
    sessions: Question
    people: Question
    trail: Question
    logins: Question
    revoke: Callable[[list[DenyEntry], Mandate], Awaitable[Acknowledgement]]
