"""Which generation of a session counts, and which may be given to a browser (R69, R75).

Each refresh makes a new generation of a session. A browser's session cookie and refresh cookie are set
together, so they are of one generation, or the session's is one newer: a refresh cookie may get lost. Any
other pair was put together by hand, or by answers that overtook one another; then what the session cookie
says counts for nothing.

What is given is the newest generation that is known, and nothing where a newer one is known to be elsewhere.
"""

from dataclasses import dataclass, replace

from gateway.core.decision.context import Knowledge
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, RefreshOutcome, Renewed, Session, SessionOver


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest outcome that this worker knows after a rotation, None where it knows of none.

    ``rotation_id`` names the rotation that would come next.
    """

    outcome: RefreshOutcome | None
    rotation_id: str


def fit(session: Session, grant: Grant | None) -> bool:
    """Tell whether a session and a grant that were presented together are of one time."""
    if grant is None or grant.handle:
        # the store keeps them together
        return True
    return session.generation - grant.generation in (0, 1)


def latest(knowledge: Knowledge, rotation_id: str) -> Latest:
    """Follow what is known of the rotations from ``rotation_id`` on."""
    outcome: RefreshOutcome | None = None
    while (found := knowledge.recent_outcome(rotation_id)) is not None:
        if isinstance(outcome, Renewed) and not is_newer(found, outcome):
            break
        outcome = found
        if isinstance(found, SessionOver) or found.grant is None:
            break
        provider = knowledge.runtime.providers.get(found.session.provider)
        if provider is None:
            break
        rotation_id = renewal.rotation_id(provider, found.grant)
    return Latest(outcome, rotation_id)


def beyond(knowledge: Knowledge, session: Session, grant: Grant | None, rotation_id: str) -> Latest:
    """Return the newest that is known beyond what was presented; ``rotation_id`` names its next rotation."""
    if grant is None:
        return Latest(None, rotation_id)
    found = latest(knowledge, rotation_id)
    if found.outcome is None and not fit(session, grant):
        return Latest(led_here(knowledge, grant), rotation_id)
    return found


def is_newer(outcome: RefreshOutcome, than: Renewed) -> bool:
    """Tell whether an outcome is of a later generation; the end of a session is later than all."""
    return isinstance(outcome, SessionOver) or outcome.session.generation > than.session.generation


def led_here(knowledge: Knowledge, grant: Grant) -> Renewed | None:
    """Return the session that belongs to a grant, where this worker knows the rotation that made both."""
    for rotation_id in grant.unconfirmed[:1]:
        found = knowledge.recent_outcome(rotation_id)
        if isinstance(found, Renewed) and found.grant == grant:
            return found
    return None


def bare(session: Session) -> Session:
    """Return a session without anything that its provider told of rights: another will have to be told."""
    return replace(session, claims={}, told={}, claims_at=None, scopes=frozenset(), access_token=None)


def may_be_given(knowledge: Knowledge, session: Session, rotation_id: str) -> bool:
    """Tell whether a browser may be given this session, whose next rotation ``rotation_id`` names."""
    return not (
        (rotation_id and knowledge.superseded(rotation_id))
        or knowledge.superseded(replacement(session.session_id))
    )


def replacement(session_id: str) -> str:
    """Name the news that a later login of its browser has replaced a session."""
    return f"session {session_id}"
