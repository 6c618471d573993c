"""Decisions for proxies that ask, and forward by themselves: who may ask, about what, and what they are told.

A proxy lets a request through on any answer of 2xx, and on no other. So nothing but ``Allow`` is ever one,
and what would be one elsewhere (a preflight that is answered) is refused. What the proxy is to put in place
of its client's fields stands in the answer's: every name under which anybody is told an identity, empty where
there is none, and the client's cookies and credentials without ours.

Proxies that can pass on any answer get what the client would get here. nginx knows 401 and 403 alone: it gets
these without more, and is to fetch the answer itself from another endpoint, for the client that it refuses.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from gateway.core.decision.answers import Allow, Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Need
from gateway.core.decision.refusals import plain
from gateway.core.headers import originals
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.originals import Original, Told
from gateway.core.headers.request import Header, Request
from gateway.core.phrases import Phrase
from gateway.core.reasons import Reason, status_of
from gateway.core.runtime import RuntimeConfig
from gateway.syntax.methods import METHODS
from gateway.syntax.targets import canonicalise

Reader: TypeAlias = Callable[[Request, Told, bytes], Original | None]

COOKIE: Final = b"X-Gateway-Cookie"
AUTHORIZATION: Final = b"X-Gateway-Authorization"

ENDPOINT: Final = b"decide/"
"""What follows the prefix in the path of these endpoints."""

NO_PREFLIGHT: Final = Phrase.of("asked_preflight")
_HERE: Final = Phrase.of("asked_here")
_OTHER_HOST: Final = Phrase.of("asked_other_host")
# so soon that a person hardly notices
_AGAIN: Final = 1


@dataclass(frozen=True, slots=True)
class Asker:
    """A kind of proxy.

    Attributes:
        setting: its name in ``asked_by``.
        read: how it tells of the original.
        is_whole: it passes on any answer but 2xx, with its content and all its fields.
        by_name: it copies fields of the answer under the names that they have.
        removes: it is told by name what is to be taken off (Envoy).
        is_prefix: what it asks for is the original's target, behind its own path.
        is_answer: it does not ask whether, but what its client is to get.
    """

    setting: str
    read: Reader
    is_whole: bool = True
    by_name: bool = False
    removes: bool = False
    is_prefix: bool = False
    is_answer: bool = False


ASKERS: Final[dict[bytes, Asker]] = {
    b"nginx": Asker("nginx", originals.by_url, is_whole=False),
    b"nginx/answer": Asker("nginx", originals.by_url, is_answer=True),
    b"ingress-nginx": Asker("ingress-nginx", originals.by_url, is_whole=False, by_name=True),
    b"traefik": Asker("traefik", originals.by_forwarded, by_name=True),
    b"caddy": Asker("caddy", originals.by_forwarded),
    b"haproxy": Asker("haproxy", originals.by_forwarded),
    b"envoy": Asker("envoy", originals.by_itself, by_name=True, removes=True, is_prefix=True),
}


def asker_of(request: Request, runtime: RuntimeConfig) -> tuple[Asker, bytes] | None:
    """Return who asks by this request, and what follows its path; None where none is configured to.

    Judged by the target as it came: a proxy is configured, and spells nothing in another way.
    """
    start = runtime.prefix + ENDPOINT
    if runtime.sieve is None or not request.target.startswith(start):
        return None
    path = request.target[len(start) :]
    name, slash, rest = path.partition(b"/")
    asker = ASKERS.get(name)
    if asker is None or not asker.is_prefix or not slash:
        path, mark, query = path.partition(b"?")
        asker, slash, rest = ASKERS.get(path), mark, query
        if asker is None or asker.is_prefix:
            return None
    return (asker, slash + rest) if asker.setting in runtime.settings.asked_by else None


def original_of(context: Context, asker: Asker, rest: bytes) -> Request | Refuse:
    """Return the request that is asked about, or the refusal to judge it."""
    request, runtime = context.request, context.knowledge.runtime
    assert runtime.sieve is not None
    # a page's script can ask through the proxy, but only under the name of its site; it must read no answer
    is_client = not asker.is_prefix and runtime.sites.get(request.host) is not None
    if is_client or not runtime.rules.proxies.is_trusted(request.peer):
        return plain(context, Reason.ASKER_UNTRUSTED)
    sifted = runtime.sieve.sift(request)
    original = asker.read(request, sifted.told, rest)
    if original is None:
        return plain(context, Reason.ORIGINAL_UNREADABLE)
    if asker.read is originals.by_url and not _is_of_host(original, rest):
        return replace(plain(context, Reason.ORIGINAL_UNREADABLE), detail=_OTHER_HOST)
    restored = request.about = runtime.sieve.restored(request, original, sifted)
    if sifted.forged is not None:
        name = sifted.forged[:64].decode("latin-1")
        return replace(plain(context, Reason.IDENTITY_FORGED), detail=Phrase.of("asked_forged", name=name))
    if (
        original.method not in METHODS
        and original.method.decode("latin-1") not in runtime.settings.extra_methods
    ):
        return plain(context, Reason.METHOD_UNKNOWN)
    if restored.plain is not None:
        path = restored.plain[0]
    else:
        target = canonicalise(original.target)
        path = b"" if target is None else target.path
    if path.startswith(runtime.prefix):
        # these are served here, and by nobody else
        return plain(context, Reason.ROUTE_UNKNOWN)
    return restored


def _is_of_host(original: Original, query: bytes) -> bool:
    """Tell whether an original is for the one host that nginx is configured to ask about, if it names one.

    A request line may name another host than Host does. nginx goes by the one, and tells us of the other.
    """
    name, equals, wanted = query.partition(b"=")
    return name != b"?host" or (bool(equals) and original.host.partition(b":")[0] == wanted.lower())


def meant(request: Request) -> Request:
    """Return the request that is meant by one that was decided: where it asks about another, that one."""
    about: Request = getattr(request, "about", request)
    return about


def answered(
    context: Context, asker: Asker, found: Answer | Need, cookies: tuple[CookieChange, ...]
) -> Answer | Need:
    """Return what a proxy is told of a decision; ``cookies`` are due on what is let through."""
    if isinstance(found, Forward) and found.reason is Reason.PREFLIGHT:
        # whether it has a body, no proxy says (R65)
        found = replace(plain(context, Reason.ORIGIN_FORBIDDEN), route=found.route, detail=NO_PREFLIGHT)
    if isinstance(found, Forward):
        if not asker.is_answer:
            return _allowed(context.knowledge.runtime, asker, found, cookies)
        # it was refused, and is not any more
        again = plain(context, Reason.DECIDED_ANEW)
        return replace(again, route=found.route, identity=found.identity, retry_after=_AGAIN)
    if asker.is_answer or not isinstance(found, (Refuse, Login, Respond)):
        return found
    if isinstance(found, Respond) and found.status < 300:
        found = _only_here(context, found)
    return found if asker.is_whole else _bare(asker, found)


def _only_here(context: Context, found: Respond) -> Refuse:
    """Return what stands for an answer of ours that would let a request through."""
    is_preflight = found.reason is Reason.PREFLIGHT
    refusal = plain(context, Reason.ORIGIN_FORBIDDEN if is_preflight else Reason.ROUTE_UNKNOWN)
    return replace(refusal, route=found.route, detail=NO_PREFLIGHT if is_preflight else _HERE)


def _bare(asker: Asker, found: Refuse | Login | Respond) -> Respond:
    """Return what nginx knows of refusals: that it is to be one, by logging in or not."""
    # a page on which to choose where to log in is the beginning of a login as well
    is_unknown = not isinstance(found, Refuse) or status_of(found.reason) == 401
    audit, details = None, dict[str, str | None]()
    if isinstance(found, Refuse) and asker.setting == "ingress-nginx":
        # nginx alone asks again, and that is told then
        audit = "refusal"
        details = {"route": None if found.route is None else found.route.name, "detail": found.detail}
    return Respond(
        found.reason,
        401 if is_unknown else 403,
        identity=found.identity if isinstance(found, Refuse) else None,
        route=found.route,
        audit=audit,
        details=details,
    )


def _allowed(
    runtime: RuntimeConfig, asker: Asker, forward: Forward, cookies: tuple[CookieChange, ...]
) -> Allow:
    assert runtime.sieve is not None
    told = _told(forward)
    headers = [(name, told.get(lower, b"")) for lower, name in runtime.sieve.names]
    cookie, authorization = told.get(b"cookie", b""), told.get(b"authorization", b"")
    absent = [name for name, value in headers if not value]
    headers += [(COOKIE, cookie), (AUTHORIZATION, authorization)]
    if asker.by_name:
        for name, value in ((b"Cookie", cookie), (b"Authorization", authorization)):
            headers += [(name, value)] if value else []
            absent += [] if value else [name]
    if asker.removes and absent:
        headers.append(_removal(absent))
    return Allow(
        forward.reason,
        200,
        headers=tuple(headers),
        cookies=cookies if asker.is_whole else _one(cookies),
        identity=forward.identity,
        route=forward.route,
        background=forward.background,
    )


def _told(forward: Forward) -> dict[bytes, bytes]:
    """Return what the fields hold that the gateway adds, and cookies and credentials, by lower-case names."""
    # how it was forwarded comes first, then what passes as the client sent it
    added = forward.lines[1 + len(forward.context.request.passed) :]
    told: dict[bytes, bytes] = {}
    for line in b"\r\n".join(added).split(b"\r\n"):
        name, _, value = line.partition(b": ")
        lower = name.lower()
        before = told.get(lower)
        # cookies may come in several lines; of anything else that comes twice nobody knows which is meant
        told[lower] = value if before is None else b"%b; %b" % (before, value) if lower == b"cookie" else b""
    return told


def _removal(names: list[bytes]) -> Header:
    return b"X-Envoy-Auth-Headers-To-Remove", b",".join(names)


def _one(cookies: tuple[CookieChange, ...]) -> tuple[CookieChange, ...]:
    """Return one cookie in one line: nginx passes on no more, and would break what is joined."""
    return tuple(replace(change, presented=()) for change in cookies[:1])
