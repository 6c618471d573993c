"""Messages of a provider that are no use, as faults."""

from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.edge.providers.client import RETRY_AFTER
from gateway.oauth.errors import MessageError


def to_fault(error: MessageError) -> Fault:
    """Return the fault that a message of no use is."""
    reason = Reason.ISSUER_MISCONFIGURED if error.is_misconfiguration else Reason.ISSUER_UNAVAILABLE
    return Fault("issuer", reason, error.detail, RETRY_AFTER)
