"""What the upstream is told, what nobody else can tell it, and what comes back (R53, R54, R58, R59)."""

from collections import Counter
from dataclasses import dataclass

from gateway.config.foreign_identity import is_foreign
from gateway.config.reserved_names import TAKEN
from gateway.config.settings.root import Settings
from gateway.core.headers import names as fields
from gateway.core.headers.forwarded import Forwarded, Proxies
from gateway.core.headers.forwarding_fields import sources_of
from gateway.core.headers.identity import IdentityHeader, compile_identity_headers, identity_lines
from gateway.core.headers.loops import loop_line
from gateway.core.headers.names import Kind, NameKinds
from gateway.core.headers.request import Header, Request
from gateway.core.identity import Identity
from gateway.core.sketch import Sketch, draw, header_of, line_of
from gateway.syntax.tokens import fold, named_in, split_quoted
from gateway.syntax.urls import authority_of, split_url

# RFC 9110 section 7.6.1, RFC 9112; the data plane writes its own framing
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
# what a proxy says: the gateway says it itself, or nobody does. Some name another target than the one that
# was decided on, and some frameworks follow them.
_PROXY_WORDS = frozenset(
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
_FORBIDDEN_PREFIXES = (b"proxy-", b"x-forwarded-")
_INJECTED = frozenset(
    b"forwarded host x-forwarded-for x-forwarded-host x-forwarded-prefix x-forwarded-proto"
    b" x-request-id".split()
)
_SHARED_CACHES = frozenset({b"surrogate-control", b"edge-control", b"x-accel-expires"})
# bytes that some skip before a cookie's name; "=" since browsers send a nameless cookie's value alone
_BEFORE_A_NAME = bytes(range(0x21)) + b'="\x7f'
_LONGEST_PREFIX = 64


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The configuration's header rules, compiled; ``cookie_prefixes`` are lower case.

    ``unverified`` are the providers whose unverified e-mail addresses are told. ``loop_names`` are those
    under which passes are counted, ``loop_line`` what tells of the first; without any, none is.
    """

    proxies: Proxies
    identity: tuple[IdentityHeader, ...]
    cookie_prefixes: tuple[bytes, ...]
    request_names: NameKinds
    response_names: NameKinds
    unverified: frozenset[str] = frozenset()
    loop_names: tuple[bytes, ...] = ()
    loop_line: bytes = b""


@dataclass(frozen=True, slots=True)
class _More:
    """``client_headers``, compiled: folded names and prefixes to drop, exact names (lower case) to keep."""

    names: frozenset[bytes]
    prefixes: tuple[bytes, ...]
    keep: frozenset[bytes]


def _response_kind_with_hsts(name: bytes) -> Kind:
    # RFC 6797 section 7.1: one field at most, and that is ours
    return fields.DROP if name.lower() == b"strict-transport-security" else _response_kind(name)


def _is_reserved(folded: bytes) -> bool:
    special = (b"authorization", b"cookie", b"set-cookie", b"proxy")
    return (
        folded in _HOP_BY_HOP
        or folded in _INJECTED
        or folded in special
        or folded in TAKEN
        or folded.startswith(b"proxy-")
    )


def compile_rules(
    settings: Settings, cookie_prefixes: tuple[str, ...], loop_names: tuple[bytes, ...] = ()
) -> HeaderRules:
    """Compile the header rules; ``cookie_prefixes`` are what the names of our own cookies begin with.

    Raises:
        ValueError: an identity header whose name is taken, a trusted proxy that is no network.
    """
    identity = compile_identity_headers(
        settings.identity_headers,
        settings.groups_claim,
        _is_reserved,
        raw=settings.identity_encoding == "utf-8",
    )
    own = frozenset(fold(header.name) for header in identity)
    parts = [part for part in map(split_url, settings.public_url) if part is not None]
    secure = {authority_of(part).encode() for part in parts if part.scheme == "https"}

    hsts = settings.tls.hsts if settings.tls is not None else None

    sources = sources_of(settings.forwarding)

    more = _more(settings)

    def classify(name: bytes) -> Kind:
        return fields.FORWARDING if name.lower() in sources.names else _request_kind(name, own, more)

    return HeaderRules(
        proxies=Proxies(
            settings.trusted_proxies, frozenset(secure | {each + b":443" for each in secure}), sources
        ),
        identity=identity,
        cookie_prefixes=tuple(prefix.lower().encode() for prefix in cookie_prefixes),
        request_names=NameKinds(classify),
        response_names=NameKinds(_response_kind if hsts is None else _response_kind_with_hsts),
        loop_names=loop_names,
        loop_line=loop_line((), loop_names),
        unverified=frozenset(
            name for name, each in settings.providers.items() if each.email_verified == "ignore"
        ),
    )


def _more(settings: Settings) -> _More:
    client = settings.client_headers
    return _More(
        names=frozenset(fold(name.encode()) for name in client.drop if not name.endswith("*")),
        prefixes=tuple(fold(name[:-1].encode()) for name in client.drop if name.endswith("*")),
        keep=frozenset(name.lower().encode() for name in client.keep),
    )


def _request_kind(name: bytes, own: frozenset[bytes], more: _More) -> Kind:
    folded = fold(name)
    special = {
        b"connection": fields.CONNECTION,
        b"cookie": fields.COOKIE,
        b"cdn-loop": fields.LOOP,
        b"authorization": fields.AUTHORIZATION,
    }.get(folded)
    if special is None:
        special = fields.READ.get(name.lower())
    if special is not None:
        return special
    if folded in _HOP_BY_HOP or folded in _PROXY_WORDS or folded in own:
        return fields.DROP
    # "Proxy" alone becomes HTTP_PROXY in CGI's environment (CVE-2016-5385)
    if folded == b"proxy" or folded.startswith(_FORBIDDEN_PREFIXES):
        return fields.DROP
    if folded in more.names or folded.startswith(more.prefixes):
        return fields.DROP
    if is_foreign(folded):
        return fields.VOUCHED if name.lower() in more.keep else fields.DROP
    return fields.PASS


def _response_kind(name: bytes) -> Kind:
    # the id that is in our log lines is the one that the client gets
    if name.lower() == b"x-request-id":
        return fields.DROP
    lower = name.lower()
    special = {
        b"connection": fields.CONNECTION,
        b"set-cookie": fields.SET_COOKIE,
        b"cache-control": fields.CACHE_CONTROL,
        b"content-length": fields.PASS,
    }.get(lower)
    if special is not None:
        return special
    folded = fold(name)
    if folded in _HOP_BY_HOP or folded.startswith(b"proxy-"):
        return fields.DROP
    if lower in _SHARED_CACHES or lower.endswith(b"cdn-cache-control"):
        return fields.SHARED_CACHE
    return fields.PASS


def forwarded_of(request: Request, rules: HeaderRules) -> Forwarded:
    """Return under which name and scheme, and from where, this request came."""
    return rules.proxies.forwarded_of(request)


def _without_own(value: bytes, prefixes: tuple[bytes, ...]) -> bytes:
    """Return a Cookie value without our own cookies; what is left keeps its bytes."""
    lower = value.lower()
    for prefix in prefixes:
        if prefix in lower:
            break
    else:
        return value
    pairs = value.split(b";")
    kept = [pair for pair in pairs if not _is_own(pair, prefixes)]
    return value if len(kept) == len(pairs) else b";".join(kept).strip(b" \t")


def _is_own(pair: bytes, prefixes: tuple[bytes, ...]) -> bool:
    return pair.lstrip(_BEFORE_A_NAME)[:_LONGEST_PREFIX].lower().startswith(prefixes)


def upstream_fields(
    sketch: Sketch,
    observed: Forwarded,
    rules: HeaderRules,
    identity: Identity | None,
    *,
    pass_authorization: bool,
) -> bytes:
    """Return the fields that go to the upstream as lines: forged ones stripped, known ones added.

    Framing, Connection and Upgrade are left to the data plane, and so is X-Request-ID, which is always our
    own: the log and the upstream speak of the same one. What the client's Connection names is removed before
    anything is added, so it drops nothing of ours (R58).
    """
    parts = [observed.block, *sketch.kept]
    if sketch.cookies and b"cookie" not in sketch.dropped:
        for name, value in sketch.cookies:
            if rest := _without_own(value, rules.cookie_prefixes):
                parts.append(line_of((name, rest)))
    if pass_authorization and b"authorization" not in sketch.dropped:
        parts.extend(line_of((b"Authorization", value)) for value in sketch.authorization)
    if sketch.vouched and observed.is_vouched:
        parts.extend(_said_once(sketch))
    if identity is not None:
        parts.append(_identity_block(rules, identity))
    parts.append(loop_line(sketch.loop, rules.loop_names) if sketch.loop else rules.loop_line)
    return b"".join(parts)


def _said_once(sketch: Sketch) -> list[bytes]:
    """Return what a trusted proxy says under names that are kept; what comes twice, one may have forged."""
    said = Counter(name.lower() for name, _ in sketch.vouched)
    once = {name for name, times in said.items() if times == 1} - sketch.dropped
    return [line_of(header) for header in sketch.vouched if header[0].lower() in once]


def _identity_block(rules: HeaderRules, identity: Identity) -> bytes:
    remembered = identity.told
    if remembered and remembered[0] is rules:
        known: bytes = remembered[1]
        return known
    block = identity_lines(rules.identity, identity, tells_unverified=identity.provider in rules.unverified)
    remembered[:] = (rules, block)
    return block


def upstream_headers(
    request: Request,
    observed: Forwarded,
    rules: HeaderRules,
    identity: Identity | None,
    *,
    pass_authorization: bool,
    request_id: str,
) -> list[Header]:
    """Return what ``upstream_fields`` tells as (name, value) pairs, with X-Request-ID."""
    sketch = draw(request, rules.request_names)
    block = upstream_fields(sketch, observed, rules, identity, pass_authorization=pass_authorization)
    return headers_of(block, request_id)


def headers_of(block: bytes, request_id: str) -> list[Header]:
    """Take such lines apart again, for whoever wants to look at them."""
    lines = block.split(b"\r\n")[:-1]
    return [*map(header_of, lines), (b"X-Request-ID", request_id.encode("latin-1", "replace"))]


def _without_named(headers: list[Header], options: list[bytes]) -> list[Header]:
    # framing is the data plane's to judge, whatever a Connection field says of it
    named = named_in(options) - {b"content-length"}
    return [header for header in headers if header[0].lower() not in named]


def response_headers(headers: list[Header], rules: HeaderRules, set_cookies: list[bytes]) -> list[Header]:
    """Return the head that goes to the client: hop-by-hop fields and forged cookies of ours removed.

    With cookies of ours added, no shared cache may keep it (R59). Content-Length stays for the data plane.
    """
    names, kept, options, cache = rules.response_names, list[Header](), list[bytes](), list[bytes]()
    kinds = names.kinds
    for header in headers:
        name, value = header
        kind = kinds.get(name)
        if kind is None:
            kind = names.learn(name)
        if kind == fields.PASS or (kind == fields.SHARED_CACHE and not set_cookies):
            kept.append(header)
        elif kind == fields.SET_COOKIE:
            if not _is_own(value, rules.cookie_prefixes):
                kept.append(header)
        elif kind == fields.CACHE_CONTROL:
            if set_cookies:
                cache.append(value)
            else:
                kept.append(header)
        elif kind == fields.CONNECTION:
            options.append(value)
    if options:
        kept = _without_named(kept, options)
    if set_cookies:
        kept.append((b"Cache-Control", _private(cache)))
        kept += [(b"Set-Cookie", line) for line in set_cookies]
    return kept


def _private(values: list[bytes]) -> bytes:
    """Return Cache-Control for a response that no shared cache may keep (RFC 9111 section 5.2.2)."""
    directives = split_quoted(b",".join(values).decode("latin-1"), ",")
    if directives is None:
        return b"no-store"
    kept: list[str] = []
    for directive in directives:
        name = directive.partition("=")[0].strip().lower()
        # a qualified private="field" lets shared caches keep the rest
        if name not in ("public", "s-maxage", "private"):
            kept.append(directive)
    if not any(directive.lower() == "no-store" for directive in kept):
        kept.insert(0, "private")
    return ", ".join(kept).encode("latin-1")


__all__ = [
    "Forwarded",
    "HeaderRules",
    "compile_rules",
    "forwarded_of",
    "response_headers",
    "upstream_fields",
    "upstream_headers",
]
