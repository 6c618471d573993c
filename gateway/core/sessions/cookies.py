"""The cookies that give a browser its session."""

from dataclasses import replace

from gateway.core.headers import cookies
from gateway.core.headers.cookies import CookieChange, Seal, Site
from gateway.core.sessions import codec
from gateway.core.sessions.model import Renewed, Session
from gateway.core.sessions.record import Handle, encode_handle


def max_age_of(session: Session, now: float) -> int:
    """Return the Max-Age of a session's cookies: the seconds until its end."""
    return max(1, int(session.ends_at - now))


def session_cookies(
    site: Site, current: Renewed, sent: dict[str, str], now: float
) -> tuple[CookieChange, ...]:
    """Return the changes that give the browser this session; without a grant the refresh cookie stays."""
    if current.grant is not None and current.grant.handle:
        return (handle_cookie(site, current.session, current.grant.handle, sent, now),)
    session = replace(current.session, seen_at=now)
    max_age = max_age_of(session, now)
    name = site.session_cookie
    changes = [
        CookieChange(
            name,
            Seal(site.purpose("session"), codec.encode_session(session)),
            max_age,
            cookies.presented(sent, name),
            domain=site.domain,
        )
    ]
    if current.grant is not None:
        name = site.refresh_cookie
        changes.append(
            CookieChange(
                name,
                Seal(site.purpose("refresh"), codec.encode_grant(current.grant)),
                max_age,
                cookies.presented(sent, name),
                domain=site.domain,
            )
        )
    return tuple(changes)


def handle_cookie(
    site: Site, session: Session, secret: str, sent: dict[str, str], now: float
) -> CookieChange:
    """Return the change that gives the browser the handle of a session that the store keeps."""
    name = site.session_cookie
    max_age = max_age_of(session, now)
    handle = Handle(session.session_id, secret)
    seal = Seal(site.purpose("handle"), encode_handle(handle))
    return CookieChange(name, seal, max_age, cookies.presented(sent, name), domain=site.domain)


def cleared_cookies(site: Site, sent: dict[str, str]) -> tuple[CookieChange, ...]:
    """Return the changes that remove a session entirely, chunks and all (CVE-2025-55162)."""
    changes = tuple(
        CookieChange(name, None, 0, cookies.presented(sent, name), domain=site.domain)
        for name in (site.session_cookie, site.refresh_cookie)
    )
    # a session came back, so whatever login brought it was none of a loop
    name = site.loop_cookie
    return (*changes, CookieChange(name, None, 0, (name,))) if name in sent else changes
