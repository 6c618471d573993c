"""What is remembered of people goes once they were judged to be over; within a minute where nobody asks."""

from collections.abc import Callable
from typing import Any

from gateway.core.access.credentials import BearerToken, SessionCookie
from gateway.core.decision.context import Context, Knowledge
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import OwnCookies
from gateway.core.headers.lines import Line
from gateway.core.sessions.model import OpenedSession


def forget(context: Context) -> None:
    """Remember nothing more of what this request presented: it was judged to be over."""
    table = context.knowledge.runtime.rules.request_lines
    for line in context.request.authorization:
        table.forget(line)
    forget_session(context)


def forget_session(context: Context) -> None:
    """Remember nothing more of the session that this request presented."""
    knowledge = context.knowledge
    for line in context.request.cookies:
        knowledge.runtime.rules.request_lines.forget(line)
    site = context.site
    if site is None or (sealed := jar.joined(context.cookies, site.session_cookie)) is None:
        return
    sealed_grant = jar.joined(context.cookies, site.refresh_cookie) or ""
    key = f"{site.origin} {sealed}.{sealed_grant}"
    known: SessionCookie | None = knowledge.memory.cookies.get(key)
    knowledge.memory.cookies.forget(key)
    opened = None if known is None else known.opened
    # else its record is what says whose it was, and the sweep finds it
    if opened is not None and knowledge.denylist.why_ended(opened.session.session_id, context.now):
        knowledge.memory.sessions.forget(opened.record)


def sweep(knowledge: Knowledge, now: float, *, is_news: bool) -> None:
    """Forget whoever is over at ``now`` (epoch seconds), though nobody has asked for them since.

    ``is_news``: whether the denylist has changed since the last time, so that it is asked about everybody.
    """
    rules, memory = knowledge.runtime.rules, knowledge.memory
    is_over = _judge_of(knowledge, now, is_news=is_news)

    def has_gone(cookie: SessionCookie) -> bool:
        return cookie.opened is None or is_over(cookie.opened)

    def is_line_over(line: Line | None) -> bool:
        found: Any = None if line is None else line.found
        if isinstance(found, BearerToken):
            return _is_token_over(found, knowledge, now, is_news=is_news)
        return isinstance(found, OwnCookies) and any(map(has_gone, found.leads_to.values()))

    rules.request_lines.sweep(is_line_over)
    rules.response_lines.sweep(is_line_over)
    memory.cookies.sweep(has_gone)
    memory.sessions.sweep(is_over)


def _judge_of(knowledge: Knowledge, now: float, *, is_news: bool) -> Callable[[OpenedSession], bool]:
    denylist, idle = knowledge.denylist, knowledge.runtime.settings.session.idle_lifetime

    def is_over(opened: OpenedSession) -> bool:
        session = opened.session
        return (
            now >= session.ends_at
            or now - session.seen_at >= idle
            or (is_news and denylist.judge_session(session, now))
        )

    return is_over


def _are_over(token: BearerToken, knowledge: Knowledge, now: float, *, is_news: bool) -> bool:
    """Tell whether nothing that was learned of a credential is of any use any more."""
    return all(
        now >= each.ends or (is_news and knowledge.denylist.judge(each.identity, now))
        for each in (token.known or {}).values()
    )


def _is_token_over(token: BearerToken, knowledge: Knowledge, now: float, *, is_news: bool) -> bool:
    if token.verified is None:
        return _are_over(token, knowledge, now, is_news=is_news)
    keys, identity, _ = token.verified
    return (
        now >= identity.expires_at
        or keys is not knowledge.keys.get(identity.provider)
        or (is_news and knowledge.denylist.judge(identity, now))
    )
