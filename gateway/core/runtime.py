"""The configuration compiled once into one frozen value that every decision reads."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from gateway.config.callbacks import CONSOLE_CALLBACK, callback_paths, login_providers
from gateway.config.checks.every import check
from gateway.config.checks.problems import Problem
from gateway.config.checks.several_providers import CLIENT_KEYS, admitted
from gateway.config.own_names import identity_names, own_names
from gateway.config.requirements import asked
from gateway.config.settings.logs import LogSettings
from gateway.config.settings.providers import EMAIL
from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.root import Settings
from gateway.config.sites import callback_urls, first_url, site_urls
from gateway.core.claim_mapping import compile_mapping
from gateway.core.email import VERIFIED, is_address, verified_beside
from gateway.core.headers.by_host import by_host
from gateway.core.headers.cookies import Site
from gateway.core.headers.forwarding_fields import sources_of
from gateway.core.headers.lines import NOTHING
from gateway.core.headers.loops import PURPOSE, loop_names
from gateway.core.headers.originals import Sieve
from gateway.core.headers.request import Header
from gateway.core.headers.rules import HeaderRules, compile_rules
from gateway.core.provider import Provider
from gateway.core.rules.authorization import needs_access_token
from gateway.core.rules.network_names import NetworkNames, compile_networks
from gateway.core.rules.places import MOST, Places
from gateway.core.rules.rate_limit import RateLimit, compile_rate_limit
from gateway.core.rules.routes import RouteTable, compile_routes
from gateway.core.rules.sends import claims_told
from gateway.core.sessions.called import CLAIMS as CALLED
from gateway.core.sessions.seal import KeyRing
from gateway.core.tokens import api_key
from gateway.core.tokens.client_keys import jwk_set
from gateway.core.tokens.dpop import Nonces, ProofRules
from gateway.core.tokens.signing import SigningKeys
from gateway.syntax.encoding import Json, decode_secret_key
from gateway.syntax.urls import authority_of, port_of, with_port

_NO_NAMES: Final = NetworkNames()
_SETTING: Final = re.compile(r"[a-z_]{3,32}(?=[\[: ])")


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """Everything a decision looks up. ``sites`` is by authority, ``by_issuer`` by exact issuer.

    ``client_keys`` are the JWK Sets of the gateway as a client, by what follows the prefix in their path.
    ``by_callback`` is by what follows the prefix in the path of a provider's callback.
    ``hsts`` is Strict-Transport-Security by the authority of an https site, empty where it is not sent.
    ``places`` remembers where paths lead. ``login_limit`` bounds how many logins one address may complete.
    ``logged_headers`` are lower case, ``log_claims`` name people in the log. ``proxy_request_id`` is
    the field, lower case, in which trusted proxies name a request; empty where that is not told.
    ``choices`` are the providers among which people choose where no route says which, none where they do not.
    ``keeps_records``: the store keeps the sessions, not the browsers. ``api_keys`` are those of the
    configuration, by their ids. ``signing`` are the keys of assertions, None where no upstream gets any.
    ``sieve`` sorts what proxies ask by, None where none does. ``proofs`` is what is asked of proofs of a key.
    ``login_site`` is where people log in for every site, None where each site has a login of its own.
    ``networks`` are those that have names.
    """

    settings: Settings
    sites: Mapping[bytes, Site]
    routes: RouteTable
    providers: Mapping[str, Provider]
    by_issuer: Mapping[str, Provider]
    ring: KeyRing
    rules: HeaderRules
    prefix: bytes
    by_callback: Mapping[bytes, Provider] = field(default_factory=dict)
    client_keys: Mapping[bytes, Mapping[str, Json]] = field(default_factory=dict)
    hsts: Mapping[bytes, Header] = field(default_factory=dict)
    places: Places = field(kw_only=True)
    login_limit: RateLimit | None = None
    logged_headers: frozenset[bytes] = frozenset()
    proxy_request_id: bytes = b""
    keeps_records: bool = False
    log_claims: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    signing: SigningKeys | None = None
    api_keys: Mapping[str, api_key.ApiKey] = field(default_factory=dict)
    sieve: Sieve | None = None
    proofs: ProofRules = field(kw_only=True)
    login_site: Site | None = None
    networks: NetworkNames = _NO_NAMES

    def default_provider(self) -> Provider | None:
        """Return the provider that a login uses when nothing names one: the first that has logins."""
        return next(iter(self.by_callback.values()), None)

    def login_names(self) -> list[str]:
        """Return the names of the providers that people log in at, the default first."""
        return [each.name for each in self.by_callback.values()]

    def login_provider(self, name: str | None) -> Provider | None:
        """Return the provider of this name, the default for None; None where nobody logs in there."""
        found = self.default_provider() if name is None else self.providers.get(name)
        return None if found is None or found.settings.bearer_only else found


def _site(public_url: str, domain: str | None = None) -> Site:
    parts = urlsplit(public_url.rstrip("/").lower())
    secure, authority = parts.scheme == "https", authority_of(parts)
    return Site(
        origin=f"{parts.scheme}://{authority}",
        authority=authority.encode(),
        secure=secure,
        cookie_prefix="__Host-gateway-" if secure else f"gateway-{port_of(parts)}-",
        domain=domain or "",
    )


def _site_at(wild: Site, host: bytes) -> Site:
    """Return the site of a host that a wildcard stands for."""
    authority = host.partition(b".")[0] + wild.authority[1:]
    origin = f"{wild.origin.partition(':')[0]}://{authority.decode('ascii')}"
    return Site(origin, authority, wild.secure, wild.cookie_prefix, wild.domain)


def _sites(settings: Settings) -> dict[bytes, Site]:
    sites: dict[bytes, Site] = {}
    for url in site_urls(settings):
        site = _site(url, settings.cookie_domain)
        parts = urlsplit(site.origin)
        # a client may spell the default port out (RFC 9110 section 4.2.3)
        sites |= {name.encode(): site for name in (authority_of(parts), with_port(parts))}
    return sites


def redirect_uris(settings: Settings) -> dict[str, list[str]]:
    """Return by provider what is to be registered there: where logins, and logouts, come back to."""
    origins = [_site(url).origin for url in callback_urls(settings)]
    found = {
        name: [
            *(origin + path for origin in origins),
            *(f"{origin}{settings.prefix}logged-out" for origin in origins),
        ]
        for name, path in callback_paths(settings).items()
    }
    console = settings.admin.console
    if console is not None and console.provider is not None and console.url is not None:
        # operators come back to the admin listener
        found.setdefault(console.provider, []).append(console.url.rstrip("/") + CONSOLE_CALLBACK)
    return found


def key_uris(settings: Settings) -> dict[str, str]:
    """Return by provider where it finds the keys that the gateway signs with, where it does."""
    origin = _site(first_url(settings)).origin
    return {
        name: f"{origin}{settings.prefix}{CLIENT_KEYS}{name}"
        for name, each in settings.providers.items()
        if each.signing_keys
    }


def _required_claims(settings: Settings) -> set[str]:
    """Return the claims that policies read."""
    names: set[str] = set()
    for section in (each for route in settings.routes for each in asked(settings, route)):
        names.update(section.claims or ())
        if section.email_domains is not None:
            names.add(EMAIL)
        if section.roles is not None:
            names.add(settings.roles_claim)
    return names | {verified_beside(name) for name in names if is_address(name)}


def _kept_claims(settings: Settings) -> frozenset[str]:
    names = {"sub", "sid", "acr", "amr", "auth_time", settings.groups_claim}
    told = claims_told(settings)
    names.update(told, logged_claims(settings.log))
    if any(name.rpartition(".")[2] == EMAIL for name in told):
        names.add(VERIFIED)
    names |= _required_claims(settings)
    if settings.admin.console is not None and settings.session.lists_sessions:
        # operators look for people by what they are called
        names.update(CALLED)
    return frozenset(names | {name.partition(".")[0] for name in names})


def _providers(settings: Settings) -> dict[str, Provider]:
    callbacks, kept = callback_paths(settings), _kept_claims(settings)
    # those whose people come in where an upstream gets their access token, or one for it
    given = {
        admitted_name
        for route in settings.routes
        if needs_access_token(route)
        for admitted_name in admitted(settings, route)
    }
    mappings = {name: compile_mapping(each) for name, each in settings.providers.items()}
    return {
        name: Provider(
            name=name,
            settings=each,
            issuer=each.issuer,
            client_id=each.client_id,
            audiences=frozenset(each.audiences),
            algorithms=each.algorithms,
            clock_skew=each.clock_skew,
            callback=callbacks.get(name, ""),
            kept_claims=kept if (mapping := mappings[name]) is None else mapping.kept(kept),
            mapping=mapping,
            shapes={} if mapping is None else mapping.shapes(kept),
            keeps_access_token=each.access_token == "jwt" or name in given,  # noqa: S105 - a kind of token
        )
        for name, each in settings.providers.items()
    }


def _choices(settings: Settings) -> tuple[str, ...]:
    names = tuple(login_providers(settings))
    return names if settings.choose_provider and len(names) > 1 else ()


def _cookie_prefixes(sites: Iterable[Site]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for site in sites for name in (site.cookie_prefix, site.scoped_prefix)))


def _hsts(settings: Settings, sites: Mapping[bytes, Site]) -> Mapping[bytes, Header]:
    hsts = settings.tls.hsts if settings.tls is not None else None
    if hsts is None:
        return {}
    value = b"max-age=%d" % hsts.max_age
    value += b"; includeSubDomains" if hsts.include_subdomains else b""
    value += b"; preload" if hsts.preload else b""
    header = (b"Strict-Transport-Security", value)
    secure = {authority: header for authority, site in sites.items() if site.secure}
    return by_host(secure, lambda found, _: found)


def _sieve(settings: Settings) -> Sieve | None:
    if not settings.asked_by:
        return None
    kept = frozenset(name.lower().encode() for name in settings.client_headers.keep)
    keys = [] if settings.api_keys is None else [settings.api_keys.header]
    if settings.forwarding.client_certificate != "none":
        keys.append(settings.forwarding.client_certificate)
    sources = sources_of(settings.forwarding)
    return Sieve(identity_names(settings), keys, own_names(settings), sources, kept)


def _login_limit(settings: Settings) -> RateLimit | None:
    most = settings.limits.logins_per_address
    if not most:
        return None
    return compile_rate_limit(RateLimitSettings(requests=most, per=60.0, by="address"), "logins")


def logged_headers(log: LogSettings) -> frozenset[bytes]:
    """Return which fields access lines repeat, lower case; the id of a trusted proxy's is one of them."""
    names = {name.lower().encode() for name in log.request_headers}
    if log.format == "combined":
        names |= {b"user-agent", b"referer"}
    return frozenset(names | ({log.proxy_request_id.lower().encode()} if log.proxy_request_id else set()))


def logged_claims(log: LogSettings) -> tuple[str, ...]:
    """Return which claims access lines tell."""
    is_named = log.format == "combined" and log.user not in ("sub", "none")
    return tuple(dict.fromkeys((*log.claims, *((log.user,) if is_named else ()))))


def ring_of(settings: Settings) -> KeyRing:
    """Return the secret keys of a configuration that was checked."""
    return KeyRing(tuple(decode_secret_key(key.get_secret_value()) for key in settings.secret_keys))


def _signing(settings: Settings, ring: KeyRing) -> SigningKeys | None:
    if all(each.assertion is None for each in settings.upstreams.values()):
        return None
    assertions = settings.assertions
    return SigningKeys(ring.seeds("assertions"), assertions.algorithm, assertions.rotate_every)


def _proofs(settings: Settings, ring: KeyRing) -> ProofRules:
    dpop = settings.dpop
    nonces = Nonces(ring.seeds("dpop nonce"), dpop.nonce_lifetime) if dpop.nonce else None
    return ProofRules(dpop.algorithms, dpop.max_age, nonces)


def _api_keys(settings: Settings) -> dict[str, api_key.ApiKey]:
    keys = settings.api_keys.keys if settings.api_keys is not None else {}
    return {key_id: api_key.configured(key_id, each) for key_id, each in keys.items()}


def compile_settings(settings: Settings, *, remembers: bool = True) -> RuntimeConfig:
    """Compile validated settings into one frozen value.

    ``remembers`` False: nothing is remembered of lines and paths, which changes no answer.
    """
    sites, providers = _sites(settings), _providers(settings)
    ring = ring_of(settings)
    routes, prefix = compile_routes(settings), settings.prefix.encode()
    return RuntimeConfig(
        settings=settings,
        sites=by_host(sites, _site_at),
        routes=routes,
        providers=providers,
        by_issuer={each.issuer: each for each in providers.values() if each.has_id_tokens},
        ring=ring,
        rules=compile_rules(
            settings,
            _cookie_prefixes(sites.values()),
            loop_names(ring.pseudonyms(PURPOSE)),
            None if remembers else NOTHING,
        ),
        prefix=prefix,
        places=Places(routes, prefix, MOST if remembers else 0),
        by_callback={
            providers[name].callback.removeprefix(settings.prefix).encode(): providers[name]
            for name in login_providers(settings)
        },
        client_keys={
            f"{CLIENT_KEYS}{name}".encode(): jwk_set(each)
            for name, each in settings.providers.items()
            if each.signing_keys
        },
        hsts=_hsts(settings, sites),
        login_limit=_login_limit(settings),
        logged_headers=logged_headers(settings.log),
        proxy_request_id=(settings.log.proxy_request_id or "").lower().encode(),
        keeps_records=settings.session.mode == "redis",
        log_claims=logged_claims(settings.log),
        choices=_choices(settings),
        signing=_signing(settings, ring),
        api_keys=_api_keys(settings),
        sieve=_sieve(settings),
        proofs=_proofs(settings, ring),
        login_site=None
        if settings.login_host is None
        else _site(settings.login_host, settings.cookie_domain),
        networks=compile_networks(settings.networks),
    )


def bridge(old: RuntimeConfig, new: RuntimeConfig) -> RuntimeConfig:
    """Return ``old`` that also opens what ``new`` will seal.

    Every worker runs this before any one runs ``new``: a cookie that the first of them has sealed under a new
    key opens in the others, too.
    """
    keys = dict.fromkeys((*old.ring.keys, *new.ring.keys))
    ring = KeyRing(tuple(keys))
    return replace(old, ring=ring, proofs=_proofs(old.settings, ring))


def problems(settings: Settings) -> list[Problem]:
    """Return every problem that forbids to start with these settings."""
    found = check(settings)
    if not found:
        try:
            compile_settings(settings)
        except ValueError as error:
            # the message may repeat values, so only the setting that it begins with is told
            where = _SETTING.match(str(error))
            found.append(Problem((where[0],) if where else (), "this cannot be used as it is"))
    return found
