"""Checks of the audit log."""

from collections.abc import Iterator

from gateway.config.checks.problems import Problem
from gateway.config.settings.root import Settings


def check_audit(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with what is asked of the audit log."""
    asked: dict[str, bool] = {}
    for index, route in enumerate(settings.routes):
        name = route.name or route.path
        if asked.setdefault(name, route.audit) != route.audit:
            yield Problem(
                ("routes", index, "audit"),
                f"another route that logs call {name} has it otherwise: give one of them a name",
            )
