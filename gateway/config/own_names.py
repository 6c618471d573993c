"""The header fields that the gateway itself writes for upstreams: clients can send them in no spelling."""

from collections.abc import Iterator

from gateway.config.settings.root import Settings
from gateway.syntax.tokens import fold


def own_names(settings: Settings) -> frozenset[bytes]:
    """Return the folded names of all fields that any route or upstream is told something in."""
    return frozenset(fold(name.encode(errors="replace")) for name in _written(settings))


def identity_names(settings: Settings) -> Iterator[str]:
    """Yield the names under which anybody is told who is calling, as written; one may come several times."""
    yield from settings.identity_headers
    if any(upstream.assertion is not None for upstream in settings.upstreams.values()):
        yield settings.assertions.header
    for route in settings.routes:
        yield from route.identity_headers or ()


def _written(settings: Settings) -> Iterator[str]:
    yield from identity_names(settings)
    yield settings.assertions.header
    for route in settings.routes:
        yield from route.request_headers
