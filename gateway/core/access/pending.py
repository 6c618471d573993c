"""Logins under way: one cookie for each, few enough for any head, and what is left of one that had to go.

The ``state`` that goes to the provider and back begins with what proves the login, and may end in the page
that was wanted, sealed: whoever comes back without that cookie still comes to that page.
"""

import hashlib
from dataclasses import dataclass
from math import inf
from typing import Final

from gateway.core.decision.context import Context
from gateway.core.headers import cookies
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.sessions.pending import PendingLogin, decode_pending, encode_pending
from gateway.core.sessions.seal import sealed_length
from gateway.syntax.encoding import encode_base64url

MOST_PENDING: Final = 20
MOST_BYTES: Final = 4096
"""What all pending logins of a browser may add to its Cookie field."""

MOST_PAGE_IN_STATE: Final = 512
"""Characters of a page that rides in the state, which otherwise has its reference: providers bound URLs."""

MOST_INLINE: Final = 2048
"""Characters of a page that a pending login may hold itself, where the store cannot keep it."""

REFERENCE_BYTES: Final = 16
_MOST_EVICTED: Final = 40
_NAME: Final = 16
_MARK: Final = 8


def proof_of(state: str) -> str:
    """Return the part of a state that proves the login."""
    return state.partition(".")[0]


def state_cookie_name(prefix: str, state: str) -> str:
    """Return the name of the cookie that holds the pending login of this state."""
    return prefix + encode_base64url(hashlib.sha256(proof_of(state).encode()).digest())[:_NAME]


def state_of(pending: PendingLogin, sealed_page: str) -> str:
    """Return the state that is sent, with the page sealed for ``page_purpose``, or without where empty."""
    return f"{pending.state}.{sealed_page}" if sealed_page else pending.state


def short_callback(path: str, prefix: str, provider: str) -> str:
    """Return what a pending login holds of its callback's path: nothing or ``*`` for the usual ones."""
    usual = f"{prefix}callback"
    return {usual: "", f"{usual}/{provider}": "*"}.get(path, path)


def callback_path(begun: PendingLogin, prefix: str) -> str:
    """Return the path where the answer to a login has to come back to (R71)."""
    usual = f"{prefix}callback"
    return {"": usual, "*": f"{usual}/{begun.provider}"}.get(begun.callback, begun.callback)


def shown(page: str) -> str:
    """Return the most that a pending login holds of a page: itself, or as much as a reference has."""
    return page if len(page) <= MOST_INLINE else reference_of(bytes(REFERENCE_BYTES))


def reference_of(drawn: bytes) -> str:
    """Return the reference to a page that the store keeps, from as many random bytes."""
    return "@" + encode_base64url(drawn)


def page_purpose(origin: str) -> str:
    """Return what the page in a state is sealed for."""
    return f"page {origin}"


def page_of(context: Context, state: str) -> str | None:
    """Return the page that a state of ours leads to, None where it names none or is none of ours.

    It proves nothing else: anybody can begin a login for any page of this site.
    """
    assert context.site is not None
    sealed = state.partition(".")[2]
    payload = context.knowledge.runtime.ring.open(page_purpose(context.site.origin), sealed)
    return None if payload is None else payload.decode("utf-8", "replace")


def open_pending(context: Context, site: Site, name: str) -> PendingLogin | None:
    """Return the pending login that this cookie holds, or None."""
    sealed = cookies.joined(context.cookies, name) or ""
    payload = context.knowledge.runtime.ring.open(site.purpose("login"), sealed)
    return None if payload is None else decode_pending(payload)


def newest_page(context: Context, site: Site) -> str:
    """Return the page of the login that this browser began last, empty where none is under way.

    It is for answers whose state tells nothing, and leads to a new login alone: no login ends by it.
    """
    oldest = context.now - context.knowledge.runtime.settings.session.login_lifetime
    held = [each for each in _held(context, site) if each.started_at >= oldest]
    return max(held, key=lambda each: each.started_at).page if held else ""


@dataclass(slots=True)
class _Held:
    """A pending login as its browser holds it: the names of its cookies, and what they add to a head."""

    name: str
    page: str
    started_at: float
    is_repeated: bool
    names: tuple[str, ...]
    size: int


def make_room(
    context: Context, site: Site, coming: PendingLogin, returned: str = ""
) -> tuple[CookieChange, ...]:
    """Return the changes that evict logins, so that one more fits (R17).

    A person's own wish evicts the oldest. A login that begins again by itself evicts the newest of those that
    do not: were it the oldest, many tabs that come back one after the other would evict one another for ever.

    Args:
        context: of the request that begins it.
        site: where.
        coming: a login of the size of the one that begins.
        returned: the state that came back in vain, where it begins again by itself.
    """
    held = [
        each for each in _held(context, site) if each.name != state_cookie_name(site.login_prefix, returned)
    ]
    held.sort(key=_age_again if returned else _age)
    left = MOST_BYTES - _size(" " * (len(site.login_prefix) + _NAME), _sealed_size(coming))
    kept = 0
    for each in held:
        left -= each.size
        if left < 0 or kept == MOST_PENDING - 1:
            break
        kept += 1
    gone = held[kept:]
    before = _evicted(context, site)
    marks = [each for each in before if each != _mark(state_cookie_name("", returned))]
    if not gone and marks == before:
        return ()
    marks = [*(_mark(each.name.removeprefix(site.login_prefix)) for each in gone), *marks]
    cleared = (CookieChange(name, None, 0, (name,)) for each in gone for name in each.names)
    return (*cleared, _remember(context, site, marks))


def _age(held: _Held) -> float:
    return -held.started_at


def _age_again(held: _Held) -> tuple[bool, float]:
    # what does not open began at no time
    return not held.is_repeated, held.started_at or inf


def _held(context: Context, site: Site) -> list[_Held]:
    found: dict[str, _Held] = {}
    for name, value in context.cookies.items():
        if not name.startswith(site.login_prefix):
            continue
        # one that holds its answer may need several cookies
        first = name[: len(site.login_prefix) + _NAME]
        if name not in cookies.presented(context.cookies, first):
            first = name
        if first not in found:
            opened = open_pending(context, site, first)
            page, began, repeated = (
                (opened.return_to, opened.started_at, opened.is_repeated) if opened else ("", 0.0, False)
            )
            found[first] = _Held(first, page, began, repeated, (), 0)
        held = found[first]
        held.names = (*held.names, name)
        held.size += _size(name, len(value))
    return list(found.values())


def was_evicted(context: Context, site: Site, state: str) -> bool:
    """Tell whether this browser's login of that state had to make room for others."""
    return _mark(state_cookie_name("", state)) in _evicted(context, site)


def forget_evicted(context: Context, site: Site, state: str) -> CookieChange:
    """Return the change after which the browser no longer remembers that eviction."""
    mark = _mark(state_cookie_name("", state))
    return _remember(context, site, [each for each in _evicted(context, site) if each != mark])


def _mark(name: str) -> str:
    # so short that many are remembered: a wrong guess begins a login, and nothing else
    return name[:_MARK]


def _evicted(context: Context, site: Site) -> list[str]:
    marks = context.cookies.get(site.evicted_cookie, "").split(".")[:_MOST_EVICTED]
    return [_mark(mark) for mark in marks if len(mark) >= _MARK]


def _remember(context: Context, site: Site, marks: list[str]) -> CookieChange:
    told = ".".join([mark for mark in marks if len(mark) == _MARK][:_MOST_EVICTED])
    if not told:
        return CookieChange(site.evicted_cookie, None, 0, (site.evicted_cookie,))
    lifetime = int(context.knowledge.runtime.settings.session.login_lifetime)
    # the marks are hashes of states that a provider has seen, and at worst lead to a login
    return CookieChange(site.evicted_cookie, None, lifetime, plain=told)


def _size(name: str, value: int) -> int:
    return len(name) + len("=; ") + value


def _sealed_size(pending: PendingLogin) -> int:
    return sealed_length(len(encode_pending(pending)))
