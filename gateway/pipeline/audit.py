"""What the audit log is told of an answer that the gateway gives itself."""

from typing import Protocol

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.pipeline.transaction import Transaction, named_by


class AuditLog(Protocol):
    """Where audit events go."""

    def audit(self, event: str, **fields: object) -> None:
        """Take an audit event; fields hold no secrets."""


def audit(log: AuditLog, transaction: Transaction, answer: Refuse | Respond, **more: object) -> None:
    """Tell of a refusal, or of a response that names an event; ``more`` are further fields."""
    if isinstance(answer, Respond) and answer.audit is None:
        return
    if answer.reason is Reason.RATE_LIMITED and answer.route is not None:
        # whoever asks too often would write the audit log
        return
    fields: dict[str, object] = {
        "request_id": transaction.request_id,
        "reason": answer.reason,
        "client": transaction.forwarded.client,
        **_who(answer.identity, transaction.knowledge.runtime.settings.log.claims),
        **more,
    }
    if isinstance(answer, Refuse):
        fields |= {"route": answer.route.name if answer.route else None, "detail": answer.detail}
        fields |= {"missing": list(answer.missing) or None}
        if answer.audit is not None:
            fields |= {"provider": answer.provider, "claim": answer.claim, "cause": answer.cause or None}
        log.audit(answer.audit or "refusal", **fields)
    elif answer.audit is not None:
        log.audit(answer.audit, **fields | answer.details)


def _who(identity: Identity | None, names: tuple[str, ...]) -> dict[str, object]:
    if identity is None:
        return {}
    return {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "session": identity.session_id,
        "key": identity.jti if identity.kind == "key" else None,
        "claims": dict(named_by(identity, names)) or None,
    }
