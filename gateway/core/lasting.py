"""How long a decision to forward stays the same for the very same request.

The fast path of a head that is seen again rests on this: until then, as long as configuration, denylist and
keys are the ones that were decided on, ``decide`` would give the same answer, so it need not be asked. Where
that cannot be told cheaply the answer does not last at all.
"""

from dataclasses import dataclass
from math import inf

from gateway.core.access import generations
from gateway.core.access.credentials import are_presented
from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge
from gateway.core.reasons import Reason
from gateway.core.sessions import claim_sources
from gateway.core.sessions import renewal as refresh
from gateway.core.sessions.model import Session
from gateway.core.tokens.keys import KeySet

_ANYBODY = frozenset({Reason.PUBLIC, Reason.PREFLIGHT})


@dataclass(slots=True)
class Lasting:
    """What an answer rests on.

    ``since`` and ``until`` are epoch seconds; ``rotation_id`` names the session's next rotation, of which
    there must be no news, here or elsewhere. ``staleness`` is how many seconds old the denylist's replica
    may be, None where its age does not matter.
    """

    knowledge: Knowledge
    version: int
    provider: str
    keys: KeySet | None
    rotation_id: str
    since: float
    until: float
    staleness: float | None = None

    def holds(self, knowledge: Knowledge, now: float) -> bool:
        """Tell whether ``decide`` would still give this answer."""
        return (
            self.since <= now < self.until
            and knowledge is self.knowledge
            and knowledge.denylist.version == self.version
            and (self.keys is None or knowledge.keys.get(self.provider) is self.keys)
            and (
                not self.rotation_id
                or (
                    knowledge.recent_outcome(self.rotation_id) is None
                    and not knowledge.superseded(self.rotation_id)
                )
            )
            and (self.staleness is None or knowledge.denylist.is_fresh(now, self.staleness))
        )


def lasting(forward: Forward, knowledge: Knowledge, now: float) -> Lasting | None:
    """Return a decision of ``now`` (epoch seconds) with what it rests on, None where it does not last."""
    if forward.cookies or forward.background:
        return None
    version = knowledge.denylist.version
    if forward.reason not in _ANYBODY and not are_presented():
        return None
    if forward.reason in _ANYBODY or (forward.reason is Reason.ANONYMOUS and not forward.sent):
        return Lasting(knowledge, version, "", None, "", now, inf)
    identity = forward.identity
    if identity is None or not forward.route.require.may_last:
        return None
    staleness = _most_staleness(forward, knowledge)
    provider = identity.provider
    if forward.session is not None:
        if not generations.fit(forward.session, forward.grant):
            return None
        if knowledge.compiled.providers[provider].settings.access_token == "jwt":  # noqa: S105 - a kind of token
            return None
        until = _session_until(forward.session, forward, knowledge)
        return Lasting(knowledge, version, provider, None, forward.rotation_id, now, until, staleness)
    keys = knowledge.keys.get(provider)
    # a session that came along must not be somebody else's, and sessions end
    if keys is None or forward.sent:
        return None
    until = min(identity.expires_at, keys.stale_after)
    return Lasting(knowledge, version, provider, keys, "", now, until, staleness)


def _most_staleness(forward: Forward, knowledge: Knowledge) -> float | None:
    deny = knowledge.compiled.settings.denylist
    return deny.max_staleness if (forward.route.when_stale or deny.when_stale) == "refuse" else None


def _session_until(session: Session, forward: Forward, knowledge: Knowledge) -> float:
    settings = knowledge.compiled.settings.session
    return min(
        session.ends_at,
        # from here on it is sealed anew, to say that it was active
        session.seen_at + settings.idle_lifetime / 10,
        refresh.due_at(session, forward.grant is not None, settings),
        claim_sources.told_at(session) + settings.most_claims_age,
    )
