"""Where a login begins: the way to the provider, and back to the page that was wanted."""

import hashlib
from urllib.parse import parse_qsl

from gateway.core import session as codec
from gateway.core.answers import Login, Refuse
from gateway.core.context import Context
from gateway.core.cookies import Site
from gateway.core.model import CookieChange
from gateway.core.reasons import Reason
from gateway.core.refusals import plain
from gateway.core.strict import encode_base64url
from gateway.core.targets import canonicalise

MOST_PENDING = 5
MOST_PARAMETER = 4096
MOST_QUERY = 65536
MOST_RETURN = 2048


def state_cookie_name(prefix: str, state: str) -> str:
    """Return the name of the cookie that holds the pending login of this state."""
    return prefix + encode_base64url(hashlib.sha256(state.encode()).digest())[:16]


def safe_return(site: Site, wanted: str) -> str:
    """Return a path with query on this site to go back to; ``/`` for anything else (R11).

    An absolute URL counts when its origin is this very site's. Whatever is not canonical as a request target
    is not followed, so a browser's reading (backslashes, tabs, ``//host``) cannot differ from ours.
    """
    if len(wanted) > MOST_RETURN or not wanted.isascii():
        return "/"
    if wanted.startswith(site.origin + "/"):
        wanted = wanted[len(site.origin) :]
    target = canonicalise(wanted.encode())
    if target is None:
        return "/"
    return (target.path + target.query).decode()


def begin(
    context: Context,
    reason: Reason,
    *,
    provider: str | None = None,
    return_to: str | None = None,
    acr_values: tuple[str, ...] = (),
    max_age: int | None = None,
) -> Login:
    """Send this browser to the provider; evict the oldest pending logins beyond the cap (R17)."""
    site = context.site
    assert site is not None
    compiled = context.knowledge.compiled
    if return_to is None:
        return_to = (context.target.path + context.target.query).decode("latin-1")
    return Login(
        reason=reason,
        provider=provider or compiled.default_provider().name,
        origin=site.origin,
        redirect_uri=site.redirect_uri,
        return_to=safe_return(site, return_to),
        pending_cookie=site.login_prefix,
        now=context.now,
        max_age_seconds=int(compiled.settings.session.login_lifetime),
        route=context.route,
        cookies=_evicted(context, site),
        acr_values=acr_values,
        max_age=max_age,
    )


def _evicted(context: Context, site: Site) -> tuple[CookieChange, ...]:
    pending: list[tuple[float, str]] = []
    for name in context.cookies:
        if name.startswith(site.login_prefix):
            opened = open_pending(context, site, name)
            pending.append((opened.started_at if opened else 0.0, name))
    pending.sort()
    surplus = pending[: max(0, len(pending) - (MOST_PENDING - 1))]
    return tuple(CookieChange(name, None, 0, (name,)) for _, name in surplus)


def open_pending(context: Context, site: Site, name: str) -> codec.PendingLogin | None:
    """Return the pending login that this cookie holds, or None."""
    payload = context.knowledge.compiled.ring.open(site.purpose("login"), context.cookies.get(name, ""))
    return None if payload is None else codec.decode_pending(payload)


def login(context: Context) -> Login | Refuse:
    """Begin a login that was asked for by its own endpoint."""
    site = context.site
    assert site is not None
    if context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    # however long, a return URL never stands in the way of a login: safe_return judges it
    fields = parameters(context.target.query, most=MOST_QUERY)
    provider = fields.get("provider") if fields is not None else None
    if fields is None or (provider is not None and provider not in context.knowledge.compiled.providers):
        return plain(context, Reason.REQUEST_MALFORMED)
    return begin(context, Reason.LOGIN_STARTED, provider=provider, return_to=fields.get("return_to", "/"))


def parameters(query: bytes, most: int = MOST_PARAMETER) -> dict[str, str] | None:
    """Return the parameters of a query, or None where one comes twice or is too long."""
    try:
        pairs = parse_qsl(
            query[1:].decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query[1:]),
            encoding="utf-8",
            errors="strict",
            max_num_fields=20,
        )
    except ValueError:
        return None
    fields: dict[str, str] = {}
    for name, value in pairs:
        # RFC 6749 section 3.1: parameters must not be included more than once
        if name in fields or len(value) > most:
            return None
        fields[name] = value
    return fields
