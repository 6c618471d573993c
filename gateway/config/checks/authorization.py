"""Checks of the Authorization field that upstreams get."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.config.checks.header_names import CLAIM
from gateway.config.checks.problems import Path, Problem
from gateway.config.checks.several_providers import admitted
from gateway.config.settings.authorization import AuthorizationSettings, BasicSettings, ExchangeSettings
from gateway.config.settings.root import Settings
from gateway.syntax import urls

_NO_CLAIM: Final = "write a claim's name without white space"
# RFC 9110 section 11.6.2: a scheme, and something after it
_VALUE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?")
# RFC 8707 section 2: absolute, and without a fragment
_RESOURCE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x22\x24-\x7e]{1,2000}")
_AUDIENCE: Final = re.compile(r"[\x21-\x7e]{1,2000}")


def check_authorization(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the routes' ``authorization``."""
    for index, route in enumerate(settings.routes):
        at: Path = ("routes", index, "authorization")
        found = route.authorization
        if found == "access_token" and route.access == "public":
            yield Problem(at, "a public route looks at nobody, whose access token would it be?")
        if not isinstance(found, AuthorizationSettings):
            continue
        if len([each for each in (found.basic, found.exchange, found.value) if each is not None]) != 1:
            yield Problem(at, "write one of basic, exchange and value")
        if route.access == "public" and found.value is None:
            yield Problem(
                at, "a public route looks at nobody, so there is nobody to make this of: value alone"
            )
        if found.basic is not None:
            yield from _check_basic(found.basic, (*at, "basic"))
        if found.exchange is not None:
            yield from _check_exchange(found.exchange, (*at, "exchange"))
        if found.value is not None and _VALUE.fullmatch(found.value.get_secret_value()) is None:
            yield Problem((*at, "value"), "write a scheme and its credentials in printable ASCII: Bearer ...")


def warn_authorization(settings: Settings) -> Iterator[Problem]:
    """Yield where a user name does not tell whose it is."""
    for index, route in enumerate(settings.routes):
        found = route.authorization
        if not isinstance(found, AuthorizationSettings) or found.basic is None:
            continue
        if len(admitted(settings, route)) > 1:
            yield Problem(
                ("routes", index, "authorization", "basic"),
                "people of several providers come in, and a user name does not tell whose alice it is: give"
                " the route one provider",
            )


def _check_basic(basic: BasicSettings, at: Path) -> Iterator[Problem]:
    for setting, claim in (("username", basic.username), ("password_claim", basic.password_claim)):
        if claim is not None and CLAIM.fullmatch(claim) is None:
            yield Problem((*at, setting), _NO_CLAIM)
    if (basic.password is None) is (basic.password_claim is None):
        yield Problem(at, "write one of password and password_claim")
    if basic.password is not None and not basic.password.get_secret_value().isprintable():
        yield Problem((*at, "password"), "no control characters (RFC 7617 section 2)")


def _check_exchange(exchange: ExchangeSettings, at: Path) -> Iterator[Problem]:
    if exchange.audience is None and exchange.resource is None:
        yield Problem(at, "name the upstream: audience, or resource")
    if exchange.audience is not None and _AUDIENCE.fullmatch(exchange.audience) is None:
        yield Problem((*at, "audience"), "write printable ASCII without white space")
    if exchange.resource is not None and _RESOURCE.fullmatch(exchange.resource) is None:
        yield Problem((*at, "resource"), "write an absolute URI without a fragment (RFC 8707 section 2)")
    for index, scope in enumerate(exchange.scopes):
        if not urls.is_scope(scope):
            yield Problem((*at, "scopes", index), "write one scope without white space, quote or backslash")
