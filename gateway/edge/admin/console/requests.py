"""What the console reads of a request: its parameters, and who makes it."""

from gateway.edge.admin.console.visits import Visit
from gateway.edge.admin.http import Ask


def parameters(ask: Ask) -> dict[str, str]:
    """Return the parameters of a request; of what is there twice, or is too much, nothing."""
    try:
        query = ask.query
    except ValueError:
        return {}
    found = dict(query)
    return found if len(found) == len(query) else {}


def who(ask: Ask, visit: Visit) -> dict[str, str]:
    """Return who acts, for the audit log."""
    return {"actor": visit.operator.name, "actor_by": visit.operator.how, "client": ask.client}
