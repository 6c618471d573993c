"""What would happen to a request: the decision itself, asked without a network and without any facts."""

import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from gateway.cli.explain_routes import tell_routes
from gateway.config.settings.root import Settings
from gateway.core.decide import decide
from gateway.core.decision.answers import Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Admit, Need
from gateway.core.fault import Fault
from gateway.core.headers.request import Header, Request
from gateway.core.headers.rules import plain_request_lines
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.rate_limit import MICROSECONDS, Allowance, RateLimit
from gateway.core.runtime import compile_settings
from gateway.http.messages.request_head import read_request_head
from gateway.syntax.tokens import is_token

_HIDDEN = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})
# an address for documentation (RFC 5737): the question is asked as a client, whom no proxy vouches for
_PEER = "192.0.2.1"


def explain(settings: Settings, url: str, method: str, fields: Sequence[str]) -> list[str]:
    """Decide a hypothetical request, and tell it in lines.

    Args:
        settings: the configuration.
        url: absolute, or a path at the first ``public_url``; sent exactly as written.
        method: of the request.
        fields: its header fields, each ``Name: value``.

    Raises:
        ValueError: no URL, no method or no header field; the text is safe to show.
    """
    request = build_request(settings, url, method, fields)
    first = f"request:  {request.method.decode()} {request.target.decode()} at {request.host.decode()}"
    if (fault := _unread(settings, request)) is not None:
        why = [f"detail:   {fault.detail}"] if fault.detail else []
        status = status_of(fault.reason)
        return [first, "decision: refuse", f"reason:   {fault.reason}", f"status:   {status}", *why]
    if _asks_for_health(settings, request):
        return [
            first,
            "decision: none",
            "told:     200 while this process would serve, else 503 (health_path)",
        ]
    now = time.time()
    knowledge = _knowledge(settings, now)
    answer = decide(request, knowledge, now, "explain")
    if isinstance(answer, Admit):
        # nobody has asked before
        facts: dict[Need, object] = {answer: Allowance(answer.limit.burst, 0, None)}
        answer = decide(request, replace(knowledge, facts=facts), now, "explain")
    lines = [first]
    if not isinstance(answer, Forward | Refuse | Login | Respond):
        return lines + _tell_need(answer)
    lines += _tell(answer)
    if request.target.startswith(settings.prefix.encode()) or answer.reason is Reason.PATH_AMBIGUOUS:
        return lines
    table = knowledge.runtime.routes
    others = tell_routes(table, answer.route, request.host, request.target, request.method)
    return [*lines, "not on:", *others] if others and table.knows(request.host) else lines


def _knowledge(settings: Settings, now: float) -> Knowledge:
    """Return what a gateway knows that has just started: its replica has synchronised, and names nobody."""
    denylist = Denylist()
    denylist.synchronised_at = now
    return Knowledge(
        runtime=compile_settings(settings),
        keys={},
        denylist=denylist,
        memory=Memory(),
        recent_outcome=lambda _: None,
        confirmed=lambda _: False,
    )


def _unread(settings: Settings, request: Request) -> Fault | None:
    """Return why the listener would refuse such a head before anything is decided; None where it reads it."""
    first = b"%b %b HTTP/1.1" % (request.method, request.target)
    data = b"\r\n".join((first, *map(b": ".join, request.headers), b"", b""))
    try:
        read_request_head(
            data, plain_request_lines(), methods=frozenset(each.encode() for each in settings.extra_methods)
        )
    except Fault as fault:
        return fault
    return None


def _asks_for_health(settings: Settings, request: Request) -> bool:
    path = settings.health_path
    is_there = path is not None and request.target.partition(b"?")[0] == path.encode()
    return is_there and request.method in (b"GET", b"HEAD")


def build_request(settings: Settings, url: str, method: str, fields: Sequence[str]) -> Request:
    """Return the request that a client would send.

    Raises:
        ValueError: no URL, no method or no header field; the text is safe to show.
    """
    if url.startswith("/"):
        host, target = urlsplit(settings.public_url[0]).netloc, url
    else:
        scheme, mark, rest = url.partition("://")
        if not mark or scheme.lower() not in ("http", "https"):
            raise ValueError("URL is absolute, http:// or https://, or a path that begins with /")
        cut = min((at for sign in "/?#" if (at := rest.find(sign)) >= 0), default=len(rest))
        host, target = rest[:cut], rest[cut:]
        # RFC 9112 section 3.2.1: an empty path is sent as "/"
        target = target if target.startswith("/") else f"/{target}"
    # a fragment never leaves the browser
    target = target.partition("#")[0]
    if (
        not host
        or not (host + target).isascii()
        or any(sign <= " " or sign == "\x7f" for sign in host + target)
    ):
        raise ValueError("URL has a host and no white space; other than ASCII is percent-encoded")
    if not is_token(method):
        raise ValueError("--method is a token such as GET")
    headers: list[Header] = [(b"Host", host.lower().encode())]
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not is_token(name) or any(sign in value for sign in "\r\n\0"):
            raise ValueError("--header is 'Name: value'")
        headers.append((name.encode(), value.strip(" \t").encode()))
    return Request(method.encode(), target.encode(), host.lower().encode(), tuple(headers), _PEER)


def _tell(answer: Answer) -> list[str]:
    lines = []
    if answer.route is not None:
        lines.append(f"route:    {answer.route.name} (access: {answer.route.access})")
    kind = {Forward: "forward", Refuse: "refuse", Login: "login", Respond: "respond"}[type(answer)]
    lines += [f"decision: {kind}", f"reason:   {answer.reason}"]
    if answer.route is not None and (limit := answer.route.rate_limit) is not None:
        lines.append(f"limit:    {_tell_limit(limit)}")
    if isinstance(answer, Forward):
        lines += [f"upstream: {answer.route.upstream}", f"target:   {answer.target.decode('latin-1')}"]
        sends = answer.route.sends
        hidden = _HIDDEN if sends is None else _HIDDEN | sends.hidden
        lines += ["headers:", *(f"  {_line(header, hidden)}" for header in answer.headers)]
    elif isinstance(answer, Refuse):
        lines.append(f"status:   {status_of(answer.reason)}")
        if answer.detail is not None:
            lines.append(f"detail:   {answer.detail}")
        if answer.login_url is not None:
            lines.append(f"login at: {answer.login_url}")
    elif isinstance(answer, Login):
        lines += [f"provider: {answer.provider}", f"redirect: {answer.redirect_uri}"]
        lines.append(f"then to:  {answer.return_to}")
    else:
        lines.append(f"status:   {answer.status}")
        if answer.location is not None:
            lines.append(f"location: {answer.location}")
    return lines


def _tell_limit(limit: RateLimit) -> str:
    whom = "for all gateways together" if limit.shared else "in each worker"
    pause = limit.interval / MICROSECONDS
    return f"{limit.burst} at once, then one every {pause:g} s, by {limit.by}, counted {whom}"


def _tell_need(need: Need) -> list[str]:
    # a need may hold codes and tokens, so only what it is and whose is told
    what = type(need).__name__.lower()
    provider = getattr(need, "provider", None)
    whose = f" of provider {provider}" if provider else ""
    return ["decision: not yet", f"needs:    {what}{whose}, which a running gateway would fetch now"]


def _line(header: Header, hidden: frozenset[bytes]) -> str:
    name, value = header
    shown = "(hidden)" if name.lower() in hidden else value.decode("utf-8", "replace")
    return f"{name.decode('latin-1')}: {shown}"
