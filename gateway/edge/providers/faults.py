"""What goes wrong with a provider, as faults."""

from typing import TypeVar

from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.oauth.errors import MessageError

RETRY_AFTER = 5

Kind = TypeVar("Kind", bound=Fault)


def unavailable(kind: type[Kind], detail: str) -> Kind:
    """Return the fault that a call is of which nothing came; its kind says whether anything was sent."""
    return kind("issuer", Reason.ISSUER_UNAVAILABLE, detail, RETRY_AFTER)


def to_fault(error: MessageError) -> Fault:
    """Return the fault that a message of no use is."""
    if not error.is_misconfiguration:
        return unavailable(Fault, error.detail)
    return Fault("issuer", Reason.ISSUER_MISCONFIGURED, error.detail, RETRY_AFTER)
