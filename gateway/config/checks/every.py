"""What spans several settings: every problem at once, each at the path of its setting.

No message repeats a value, only names of settings, providers and upstreams: a value may be a secret.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from gateway.config.checks.admin import check_admin, warn_admin
from gateway.config.checks.api_keys import check_api_keys, warn_api_keys
from gateway.config.checks.asking import check_asking, warn_asking
from gateway.config.checks.assertions import check_assertions, warn_assertions
from gateway.config.checks.audit import check_audit
from gateway.config.checks.authorization import check_authorization, warn_authorization
from gateway.config.checks.bound_tokens import check_bound_tokens
from gateway.config.checks.clients import check_clients
from gateway.config.checks.console import check_console, warn_console
from gateway.config.checks.forwarding import check_client_headers, check_forwarding, warn_forwarding
from gateway.config.checks.header_names import check_header_names, warn_header_names
from gateway.config.checks.introspection import warn_introspection
from gateway.config.checks.listener import check_log, check_tls, warn_listener
from gateway.config.checks.pages import check_pages
from gateway.config.checks.policies import warn_policies
from gateway.config.checks.problems import Path, Problem
from gateway.config.checks.provider_kinds import check_choice, check_logins, warn_kinds
from gateway.config.checks.providers import check_providers
from gateway.config.checks.rate_limits import check_rate_limits
from gateway.config.checks.routes import check_path, check_routes, warn_routes
from gateway.config.checks.sessions import check_networks, check_session
from gateway.config.checks.several_providers import check_callbacks, warn_providers
from gateway.config.checks.sites import check_sites, warn_sites
from gateway.config.checks.store import check_store, warn_store
from gateway.config.checks.telemetry import check_telemetry, warn_telemetry
from gateway.config.checks.upgrade import warn_upgrade
from gateway.config.checks.upstreams import check_upstreams, warn_upstreams
from gateway.config.settings.root import Settings
from gateway.syntax import urls
from gateway.syntax.encoding import decode_secret_key
from gateway.syntax.tokens import is_token

Check: TypeAlias = "Callable[[Settings], Iterator[Problem]]"

_KNOWN_EXAMPLES = frozenset({bytes(range(32)), bytes(range(1, 33))})


def check(settings: Settings) -> list[Problem]:
    """Return every problem of these settings that can be told without compiling them."""
    return [problem for each in CHECKS for problem in each(settings)]


def warn(settings: Settings) -> list[Problem]:
    """Return what is allowed and yet hardly meant."""
    return list(_warnings(settings))


def _check_listeners(settings: Settings) -> Iterator[Problem]:
    for path, address in ((("listen",), settings.listen), (("admin", "listen"), settings.admin.listen)):
        if (message := urls.judge_listen(address)) is not None:
            yield Problem(path, message)
    if urls.collide(settings.listen, settings.admin.listen):
        yield Problem(("admin", "listen"), "the public listener has this port: choose another one (R62)")


def _check_prefix(settings: Settings) -> Iterator[Problem]:
    prefix = settings.prefix
    if len(prefix) < 3 or not prefix.endswith("/") or check_path(prefix) is not None:
        yield Problem(("prefix",), "write a canonical path between two slashes, such as /.gateway/")


def _check_health_path(settings: Settings) -> Iterator[Problem]:
    path = settings.health_path
    if path is None:
        return
    if path == "/" or check_path(path) is not None:
        yield Problem(("health_path",), "write a canonical path that no page has, such as /healthz")
    elif path.startswith(settings.prefix):
        yield Problem(("health_path",), f"below {settings.prefix} are the gateway's own endpoints")


_NO_METHODS = frozenset({"CONNECT", "PRI", "TRACE", "TRACK"})


def _check_methods(settings: Settings) -> Iterator[Problem]:
    for index, method in enumerate(settings.extra_methods):
        if not is_token(method) or method != method.upper() or not method[0].isalpha():
            yield Problem(("extra_methods", index), "write a request method in upper case, such as LIST")
        elif method in _NO_METHODS:
            yield Problem(("extra_methods", index), f"{method} is always refused")


def _check_keys(settings: Settings) -> Iterator[Problem]:
    seen: dict[bytes, int] = {}
    for index, secret in enumerate(settings.secret_keys):
        at: Path = ("secret_keys", index)
        try:
            key = decode_secret_key(secret.get_secret_value())
        except ValueError:
            yield Problem(at, "a secret key is 32 random bytes in base64: gateway keys generate prints one")
            continue
        # chance gives fewer than 10 different bytes, or printable ASCII alone, less than once in 10^13
        if len(set(key)) < 10 or all(0x20 <= byte < 0x7F for byte in key):
            yield Problem(at, "these bytes are not random: gateway keys generate prints a key")
        elif key in seen:
            yield Problem(at, f"the same key as secret_keys[{seen[key]}]")
        seen.setdefault(key, index)


CHECKS: tuple[Check, ...] = (
    check_sites,
    _check_listeners,
    check_admin,
    check_console,
    check_tls,
    check_log,
    check_audit,
    _check_prefix,
    _check_health_path,
    _check_methods,
    check_forwarding,
    check_client_headers,
    check_asking,
    _check_keys,
    check_store,
    check_providers,
    check_logins,
    check_choice,
    check_clients,
    check_callbacks,
    check_session,
    check_networks,
    check_upstreams,
    check_pages,
    check_rate_limits,
    check_routes,
    check_header_names,
    check_assertions,
    check_api_keys,
    check_authorization,
    check_bound_tokens,
    check_telemetry,
)


def _warnings(settings: Settings) -> Iterator[Problem]:
    yield from warn_admin(settings)
    yield from warn_console(settings)
    yield from warn_sites(settings)
    yield from warn_forwarding(settings)
    yield from warn_asking(settings)
    yield from warn_listener(settings)
    yield from warn_upstreams(settings)
    yield from warn_routes(settings)
    yield from warn_policies(settings)
    yield from warn_providers(settings)
    yield from warn_kinds(settings)
    yield from warn_assertions(settings)
    yield from warn_authorization(settings)
    yield from warn_header_names(settings)
    yield from warn_api_keys(settings)
    yield from warn_introspection(settings)
    yield from warn_upgrade(settings)
    yield from warn_store(settings)
    yield from warn_telemetry(settings)
    if settings.allow_insecure_http:
        yield Problem(
            ("allow_insecure_http",), "whoever is on the network can read and replay cookies and tokens"
        )
    if all(route.access == "public" for route in settings.routes):
        yield Problem(("routes",), "every route is public: nobody has to log in anywhere")
    if settings.denylist.max_staleness < 3:
        yield Problem(
            ("denylist", "max_staleness"),
            "freshness is proven every second: below 3s one late answer refuses",
        )
    for index, secret in enumerate(settings.secret_keys):
        try:
            is_known = decode_secret_key(secret.get_secret_value()) in _KNOWN_EXAMPLES
        except ValueError:
            is_known = False
        if is_known:
            yield Problem(
                ("secret_keys", index), "everybody can guess this key: gateway keys generate prints one"
            )


__all__ = ["CHECKS", "Problem", "check", "warn"]
