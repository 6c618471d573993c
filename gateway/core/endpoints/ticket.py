"""The session of a site whose people log in at one host for all sites: what a ticket grants (``joining``)."""

import hmac
from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway.core.access import pending, rounds
from gateway.core.access.session import identity_of, why_over
from gateway.core.access.to_login import begin_for
from gateway.core.decision.answers import Login, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import (
    EndLater,
    JoinSite,
    KeptPage,
    Need,
    Replaced,
    Revoke,
    SessionRecord,
    TakeTicket,
)
from gateway.core.decision.refusals import plain
from gateway.core.endpoints.login_failure import Attempt, failed, spent
from gateway.core.endpoints.session_start import (
    Begun,
    forgets,
    given,
    is_same_person,
    listed,
    presented_session,
)
from gateway.core.endpoints.way_back import begun_here, page_wanted
from gateway.core.phrases import Phrase
from gateway.core.reasons import Reason
from gateway.core.rules.entries import end_of
from gateway.core.sessions import renewal
from gateway.core.sessions.joining import (
    TICKET,
    TICKET_SECONDS,
    Granted,
    NoTicket,
    Ticket,
    challenge_of,
    decode_ticket,
    ticket_purpose,
)
from gateway.core.sessions.model import OpenedSession, Session
from gateway.core.sessions.pending import PendingLogin
from gateway.core.sessions.record import record_name
from gateway.syntax import forms

Step: TypeAlias = Respond | Refuse | Login | Need

_MOST_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a browser has shown at a site: the ticket's text, what that says, and the login that it began."""

    ticket: Ticket
    state: str
    cookie: str
    begun: PendingLogin | None


def ticket(context: Context) -> Step:
    """Begin the session at this site that a ticket grants this very browser."""
    site, runtime = context.site, context.knowledge.runtime
    assert site is not None
    if runtime.login_site is None:
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    fields = forms.read_parameters(context.target.query[1:], ("ticket", "state")) or {}
    text, state = fields.get("ticket", ""), fields.get("state", "")
    payload = runtime.ring.open(ticket_purpose(site.origin), text)
    shown = None if payload is None else decode_ticket(payload)
    if shown is None:
        return _refused(context, state, Phrase.of("ticket_elsewhere"))
    granted: Granted | NoTicket | None = context.knowledge.fact(
        take := TakeTicket(shown.secret), (Granted, NoTicket)
    )
    if granted is None:
        # first of all: whoever shows it, it is of no use to anybody afterwards
        return take
    name = pending.state_cookie_name(site.login_prefix, state)
    browser = _Shown(shown, state, name, begun_here(context, site, name, state))
    if isinstance(granted, NoTicket) or abs(context.now - shown.at) > TICKET_SECONDS:
        return _refused(context, state, Phrase.of("ticket_used"))
    if not _is_of_this_browser(context, browser, granted):
        return _refused(context, state, Phrase.of("ticket_of_other"))
    assert browser.begun is not None
    page = page_wanted(context, browser.begun.return_to)
    if isinstance(page, KeptPage):
        return page
    return _joined(context, granted, Attempt(browser.begun, page, state, name))


def _is_of_this_browser(context: Context, browser: _Shown, granted: Granted) -> bool:
    site, runtime, begun = context.site, context.knowledge.runtime, browser.begun
    if site is None or begun is None or granted.site != site.origin:
        return False
    if (
        begun.callback != f"{runtime.settings.prefix}{TICKET}"
        or bool(granted.handle) != runtime.keeps_records
    ):
        return False
    challenge = challenge_of(begun.verifier).encode()
    return all(
        hmac.compare_digest(challenge, each.encode())
        for each in (browser.ticket.challenge, granted.challenge)
    )


def _refused(context: Context, state: str, detail: str) -> Step:
    """Refuse a ticket; whoever has a session here goes on to the page, as anybody who comes back twice."""
    site = context.site
    assert site is not None
    page = page_wanted(context, pending.page_of(context, state) or "/")
    if isinstance(page, KeptPage):
        return page
    presented = presented_session(context)
    if isinstance(presented, SessionRecord):
        return presented
    if presented is not None and why_over(context, presented.session) is None:
        return Respond(Reason.ALREADY_LOGGED_IN, 303, location=site.origin + (page or "/"))
    if pending.was_evicted(context, site, state):
        # the person did nothing wrong: so many tabs have begun that this one's cookie had to go
        return begin_for(context, Reason.LOGIN_EVICTED, page or "/", None, state)
    return _failed(context, Reason.TICKET_REFUSED, page or "/", None, detail)


def _failed(
    context: Context, reason: Reason, page: str, attempt: Attempt | None, detail: str | None = None
) -> Refuse:
    return replace(failed(context, reason, attempt, detail, page=page), audit="site_refused")


def _joined(context: Context, granted: Granted, attempt: Attempt) -> Step:
    """Begin the session at this site, if it holds still; one before it of another login ends."""
    site, runtime, session = context.site, context.knowledge.runtime, granted.current.session
    assert site is not None
    provider = runtime.login_provider(session.provider)
    if provider is None or provider.issuer != session.issuer:
        return _failed(context, Reason.LOGIN_STATE_UNKNOWN, attempt.page, attempt)
    if (over := why_over(context, session)) is not None:
        return _failed(context, over, attempt.page, attempt)
    before = presented_session(context)
    if isinstance(before, SessionRecord):
        return before
    most = rounds.LOOP_COUNT if before is None else _MOST_ROUNDS
    if rounds.loops(context, site, attempt.page, most):
        return _failed(context, Reason.LOGIN_LOOP, attempt.page, attempt)
    if (need := _ended_before(context, before, session)) is not None:
        return need
    grant, handle = granted.current.grant, granted.handle
    begun = Begun(session, grant, handle, None)
    rotation_id = "" if grant is None else renewal.rotation_id(provider, grant)
    place = JoinSite(session, site.origin, rotation_id or (record_name(handle) if handle else ""))
    if place not in context.knowledge.facts:
        return place
    return Respond(
        Reason.SITE_JOINED,
        303 if attempt.page else 200,
        location=site.origin + attempt.page if attempt.page else None,
        page=None if attempt.page else "page_lost",
        headers=forgets(context, session),
        cookies=(
            *(() if _is_newer(context, before, session) else given(context, site, begun)),
            spent(context, attempt),
            rounds.note(context, site, attempt.page, came_back=False),
        ),
        identity=identity_of(session, session.claims, session.scopes),
        audit="site_join",
        details={"provider": session.provider, "site": site.origin},
        background=(
            *_put_off(
                before, session, is_over=before is None or why_over(context, before.session) is not None
            ),
            *listed(context, session),
        ),
    )


def _is_newer(context: Context, before: OpenedSession | None, session: Session) -> bool:
    """Tell whether this browser has the very session here already, renewed while a ticket came (R75)."""
    if before is None or before.session.session_id != session.session_id:
        return False
    return before.session.generation > session.generation and why_over(context, before.session) is None


def _ended_before(context: Context, before: OpenedSession | None, session: Session) -> Need | None:
    """Return what is to be done about another session that this browser has here, None where that is done."""
    facts = context.knowledge.facts
    if before is None or before.session.session_id == session.session_id:
        return None
    # before the browser has the new cookies: a late answer must not bring back the old ones (R75)
    if (need := Replaced(before.session.session_id)) not in facts:
        return need
    if is_same_person(before.session, session) or any(isinstance(each, Revoke) for each in facts):
        return None
    idle = context.knowledge.runtime.settings.copies_last
    return Revoke((end_of(before.session, context.now, idle),))


def _put_off(before: OpenedSession | None, session: Session, *, is_over: bool) -> tuple[EndLater, ...]:
    if before is None or is_over or before.session.session_id == session.session_id:
        return ()
    if not is_same_person(before.session, session):
        return ()
    return (EndLater(before.session.session_id, before.session.ends_at, before.session.is_shared),)
