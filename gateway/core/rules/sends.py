"""What a route tells its upstream, and lets clients see of the answer, beyond what every route does."""

from dataclasses import dataclass, field

from gateway.config.settings.authorization import AuthorizationSettings
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.core.headers.downstream import SetFields
from gateway.core.headers.identity import IdentityHeader, compile_identity_headers
from gateway.core.rules.assertions import Assertion
from gateway.core.rules.authorization import NAME, Authorization, claims_of, compile_authorization


@dataclass(frozen=True, slots=True, eq=False)
class Sends:
    """What a route's upstream gets beside the fields that pass.

    ``identity`` are the fields that tell who is calling. ``fixed`` are lines that are the same for everybody,
    joined by CRLF; they may hold secrets. ``hidden`` are names, in lower case, whose values nobody is shown.
    ``assertion`` is what is signed of a caller, ``authorization`` what is made of one in the place of the
    field that the client sent.
    """

    identity: tuple[IdentityHeader, ...]
    fixed: bytes = field(repr=False)
    hidden: frozenset[bytes]
    assertion: Assertion | None = None
    authorization: Authorization | None = None


def compile_sends(route: RouteSettings, settings: Settings, assertion: Assertion | None) -> Sends | None:
    """Compile what a route says of its upstream's requests; None where it says nothing of its own.

    ``assertion`` is its upstream's, None where that gets none.

    Raises:
        ValueError: a header field that cannot be used.
    """
    if route.access == "public":
        assertion = None
    authorization, fixed = compile_authorization(route), _fixed(route)
    if route.identity_headers is None and not fixed and assertion is None and authorization is None:
        return None
    names = settings.identity_headers if route.identity_headers is None else route.identity_headers
    return Sends(
        identity=compile_identity_headers(
            names, settings.groups_claim, raw=settings.identity_encoding == "utf-8"
        ),
        fixed=fixed,
        hidden=frozenset(
            name.lower().encode() for name in (*route.request_headers, settings.assertions.header)
        ),
        assertion=assertion,
        authorization=authorization,
    )


def _fixed(route: RouteSettings) -> bytes:
    fields = dict(route.request_headers)
    own = route.authorization
    if isinstance(own, AuthorizationSettings) and own.value is not None:
        fields[NAME.decode()] = own.value
    return "\r\n".join(f"{name}: {value.get_secret_value()}" for name, value in fields.items()).encode()


def claims_told(settings: Settings) -> frozenset[str]:
    """Return the claims that any upstream is told."""
    told = set(settings.identity_headers.values())
    for route in settings.routes:
        told.update((route.identity_headers or {}).values(), claims_of(route))
    for upstream in settings.upstreams.values():
        if upstream.assertion is not None:
            told.update(upstream.assertion.claims or ())
    return frozenset(told)


def compile_answers(route: RouteSettings) -> SetFields | None:
    """Compile what a route sets in its upstream's responses; None where it sets nothing."""
    return SetFields(route.response_headers) if route.response_headers else None
