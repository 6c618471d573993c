"""What each field is to this configuration: who may say what, and what is ours alone (R53, R54, R58, R59)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.config.foreign_identity import is_foreign
from gateway.config.own_names import own_names
from gateway.config.reserved_names import HOP_BY_HOP, METHOD_OVERRIDES
from gateway.config.settings.root import Settings
from gateway.config.sites import site_urls
from gateway.core.headers import kinds
from gateway.core.headers.api_keys import KeyLines, key_lines
from gateway.core.headers.cookies import OwnCookies, is_own, split_own
from gateway.core.headers.downstream import SHARED_CACHES
from gateway.core.headers.forwarded import Forwarded, Proxies
from gateway.core.headers.forwarding_fields import sources_of
from gateway.core.headers.identity import IdentityHeader, compile_identity_headers
from gateway.core.headers.kinds import Kind
from gateway.core.headers.lines import NOTHING, Budgets, Line, LineTable, Malformed, Options, read_length
from gateway.core.headers.loops import loop_line
from gateway.core.headers.request import Request
from gateway.syntax.authority import authorities, read_host
from gateway.syntax.tokens import fold, named_in
from gateway.syntax.urls import authority_of, split_site, with_port

# what a proxy says: the gateway says it itself, or nobody does. Some name another target than the one that
# was decided on, and some frameworks follow them.
_PROXY_WORDS: Final = frozenset(
    b"cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-visitor client-ip cloudfront-forwarded-proto"
    b" cloudfront-viewer-address do-connecting-ip fastly-client-ip fastly-ssl fly-client-ip forwarded"
    b" forwarded-for forwarded-for-ip front-end-https host incap-client-ip true-client-ip wl-proxy-client-ip"
    b" wl-proxy-ssl x-appengine-user-ip x-azure-clientip x-azure-socketip x-client-ip x-cluster-client-ip"
    b" x-envoy-external-address x-envoy-original-host x-envoy-original-path x-forward-for x-forwarded x-host"
    b" x-http-host-override x-nf-client-connection-ip x-original-for x-original-forwarded-for x-original-host"
    b" x-original-proto x-original-uri x-original-url x-originating-ip x-proxyuser-ip x-real-ip x-real-port"
    b" x-remote-addr x-remote-ip x-request-id x-rewrite-uri x-rewrite-url x-scheme x-sucuri-clientip"
    b" x-url-scheme x-vercel-forwarded-for x-vercel-proxied-for".split()
)
_FORBIDDEN_PREFIXES: Final = (b"proxy-", b"x-forwarded-")
# values that are ever new; looked at by name, they cost least
_ONCE_ASKED: Final = frozenset(
    b"referer x-request-id request-id x-correlation-id traceparent tracestate b3 x-b3-traceid x-b3-spanid"
    b" idempotency-key dpop content-length if-range range".split()
)
_ONCE_ANSWERED: Final = frozenset(
    b"set-cookie etag last-modified location content-location x-request-id request-id traceparent"
    b" server-timing content-range age".split()
)
# IIS tells with Persistent-Auth that it keeps one
_BINDING: Final = re.compile(rb"(?:\A|[\s,])" + kinds.BINDING_SCHEME + rb"|\A(?i:true)\b")
_NO_FIELDS: Final = frozenset({b"keep-alive", b"close", b"upgrade", b"te", b"content-length"})
_CHALLENGES: Final = frozenset({b"www-authenticate", b"proxy-authenticate", b"persistent-auth"})


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The configuration's header rules, compiled; ``cookie_prefixes`` are lower case.

    ``request_lines`` and ``response_lines`` say what each line is, and remember it. ``unverified`` are the
    providers whose unverified e-mail addresses are told. ``loop_names`` are those under which passes are
    counted, ``loop_line`` what tells of the first; without any, none is. ``api_keys`` are the lines that
    bring one, None where there are no keys.
    """

    proxies: Proxies
    identity: tuple[IdentityHeader, ...]
    cookie_prefixes: tuple[bytes, ...]
    request_lines: LineTable = field(repr=False)
    response_lines: LineTable = field(repr=False)
    unverified: frozenset[str] = frozenset()
    loop_names: tuple[bytes, ...] = ()
    loop_line: bytes = b""
    api_keys: KeyLines | None = None


@dataclass(frozen=True, slots=True)
class _More:
    """``client_headers``, compiled: folded names and prefixes to drop, exact names (lower case) to keep."""

    names: frozenset[bytes]
    prefixes: tuple[bytes, ...]
    keep: frozenset[bytes]


def compile_rules(
    settings: Settings,
    cookie_prefixes: tuple[str, ...],
    loop_names: tuple[bytes, ...] = (),
    budgets: Budgets | None = None,
) -> HeaderRules:
    """Compile the header rules.

    Args:
        settings: the configuration.
        cookie_prefixes: what the names of our own cookies begin with.
        loop_names: under which passes are counted.
        budgets: how much is remembered of lines; the usual where None.

    Raises:
        ValueError: an identity header whose name is taken, a trusted proxy that is no network.
    """
    identity = compile_identity_headers(
        settings.identity_headers,
        settings.groups_claim,
        raw=settings.identity_encoding == "utf-8",
    )
    parts = [part for part in map(split_site, site_urls(settings)) if part is not None]
    https = [part for part in parts if part.scheme == "https"]
    secure = authorities(name(part).encode() for part in https for name in (authority_of, with_port))
    hsts = settings.tls.hsts if settings.tls is not None else None
    sources = sources_of(settings.forwarding)
    prefixes = tuple(prefix.lower().encode() for prefix in cookie_prefixes)
    keys = key_lines(settings.api_keys)
    proxies = Proxies(settings.trusted_proxies, secure, sources, budgets)
    return HeaderRules(
        proxies=proxies,
        identity=identity,
        cookie_prefixes=prefixes,
        request_lines=LineTable(
            _classifier(settings, sources.names, keys), _request_reader(prefixes), _ONCE_ASKED, budgets
        ),
        response_lines=LineTable(
            _response_kind if hsts is None else _response_kind_with_hsts,
            _response_reader(prefixes),
            _ONCE_ANSWERED,
            budgets,
        ),
        loop_names=loop_names,
        loop_line=loop_line((), loop_names),
        api_keys=keys,
        unverified=frozenset(
            name for name, each in settings.providers.items() if each.email_verified == "ignore"
        ),
    )


def _classifier(
    settings: Settings, forwarding: frozenset[bytes], keys: KeyLines | None
) -> Callable[[bytes], Kind]:
    """Return what tells the kind of a request's field by its name."""
    own, more = own_names(settings), _more(settings)
    told = settings.forwarding.client_certificate
    certificate = b"" if told == "none" else told.lower().encode()
    is_traced = settings.telemetry is not None and settings.telemetry.traces is not None

    def classify(name: bytes) -> Kind:
        if certificate and fold(name) == fold(certificate):
            return kinds.CERTIFICATE if name.lower() == certificate else kinds.DROP
        if keys is not None and fold(name) == keys.folded:
            # in another spelling it is no key, and an upstream that folds names must not see it either
            return kinds.AUTHORIZATION if name.lower() == keys.name else kinds.DROP
        if is_traced and name.lower() in kinds.TRACE_NAMES:
            return kinds.TRACE
        return kinds.FORWARDING if name.lower() in forwarding else _request_kind(name, own, more)

    return classify


def _more(settings: Settings) -> _More:
    client = settings.client_headers
    return _More(
        names=frozenset(fold(name.encode()) for name in client.drop if not name.endswith("*")),
        prefixes=tuple(fold(name[:-1].encode()) for name in client.drop if name.endswith("*")),
        keep=frozenset(name.lower().encode() for name in client.keep),
    )


def _request_kind(name: bytes, own: frozenset[bytes], more: _More) -> Kind:
    folded, lower = fold(name), name.lower()
    special = {
        b"cookie": kinds.COOKIE,
        b"cdn-loop": kinds.LOOP,
        b"authorization": kinds.AUTHORIZATION,
        b"dpop": kinds.PROOF,
        b"keep-alive": kinds.DROP,
    }.get(folded)
    if special is None:
        special = kinds.READ_NAMES.get(lower) or kinds.FRAMING.get(lower)
    if special is not None:
        return special
    if folded in HOP_BY_HOP or folded in _PROXY_WORDS or folded in own:
        return kinds.DROP
    # "Proxy" alone becomes HTTP_PROXY in CGI's environment (CVE-2016-5385)
    if folded == b"proxy" or folded.startswith(_FORBIDDEN_PREFIXES):
        return kinds.DROP
    if folded in more.names or folded.startswith(more.prefixes):
        return kinds.DROP
    if is_foreign(folded):
        return kinds.VOUCHED if lower in more.keep else kinds.DROP
    return kinds.OVERRIDE if folded in METHOD_OVERRIDES else kinds.PASS


def _response_kind_with_hsts(name: bytes) -> Kind:
    # RFC 6797 section 7.1: one field at most, and that is ours
    return kinds.DROP if name.lower() == b"strict-transport-security" else _response_kind(name)


def _response_kind(name: bytes) -> Kind:
    lower = name.lower()
    # the id that is in our log lines is the one that the client gets
    if lower == b"x-request-id":
        return kinds.DROP
    special = {
        b"set-cookie": kinds.SET_COOKIE,
        b"cache-control": kinds.CACHE_CONTROL,
        b"date": kinds.DATE,
        b"content-type": kinds.CONTENT_TYPE,
    }.get(lower) or kinds.FRAMING.get(lower)
    if special is not None and special not in (kinds.HOST, kinds.EXPECT):
        return special
    folded = fold(name)
    if lower in _CHALLENGES:
        return kinds.PROXY_CHALLENGE if lower.startswith(b"proxy-") else kinds.CHALLENGE
    if folded in HOP_BY_HOP or folded.startswith(b"proxy-"):
        return kinds.DROP
    if lower in SHARED_CACHES or lower.endswith(b"cdn-cache-control"):
        return kinds.SHARED_CACHE
    return kinds.PASS


def _request_reader(prefixes: tuple[bytes, ...]) -> Callable[[Line], None]:
    def read(line: Line) -> None:
        if line.kind == kinds.COOKIE:
            line.found = split_own(line.name, line.value, line.line, prefixes)
        elif line.kind == kinds.HOST:
            line.found = read_host(line.value)
        elif line.kind == kinds.CONNECTION:
            line.found = read_options(line.value)

    return read


def _response_reader(prefixes: tuple[bytes, ...]) -> Callable[[Line], None]:
    def read(line: Line) -> None:
        if line.kind == kinds.SET_COOKIE:
            line.found = is_own(line.value, prefixes)
        elif line.kind == kinds.CONNECTION:
            line.found = read_options(line.value)
        elif line.kind == kinds.CONTENT_LENGTH:
            line.found = _length_of(line.value)
        elif line.kind == kinds.CONTENT_TYPE:
            line.found = line.value[:17].lower() == b"text/event-stream"
        elif line.kind in (kinds.CHALLENGE, kinds.PROXY_CHALLENGE):
            line.found = _BINDING.search(line.value) is not None

    return read


def _length_of(value: bytes) -> int | None:
    try:
        return read_length(value)
    except Malformed:
        return None


def read_options(value: bytes) -> Options:
    """Return what a Connection field says (RFC 9110 section 7.6.1); framing is judged without it."""
    options = named_in([value])
    return Options(b"close" in options, b"keep-alive" in options, options - _NO_FIELDS)


def plain_request_lines() -> LineTable:
    """Return what lines are to a listener that has no rules of its own; nothing is remembered."""

    def classify(name: bytes) -> Kind:
        return _request_kind(name, frozenset(), _More(frozenset(), (), frozenset()))

    return LineTable(classify, _request_reader(()), frozenset(), NOTHING)


def plain_response_lines() -> LineTable:
    """Return what lines of a response are that goes on to nobody; nothing is remembered."""
    return LineTable(_response_kind, _response_reader(()), frozenset(), NOTHING)


def forwarded_of(request: Request, rules: HeaderRules) -> Forwarded:
    """Return under which name and scheme, and from where, this request came."""
    request.sort(rules.request_lines)
    return rules.proxies.forwarded_of(request)


__all__ = ["HeaderRules", "OwnCookies", "compile_rules", "forwarded_of"]
