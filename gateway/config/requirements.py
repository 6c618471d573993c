"""What a route asks of an identity, with named policies put in, and what all routes ask beside it."""

from collections.abc import Iterator

from gateway.config.settings.policies import RequireSettings
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings


def default_of(settings: Settings, route: RouteSettings) -> RequireSettings | None:
    """Return the ``require`` of all routes where it holds on this one; a public route looks at nobody."""
    return settings.require if route.default_require and route.access != "public" else None


def asked(settings: Settings, route: RouteSettings) -> Iterator[RequireSettings]:
    """Yield every section that has a say about a route, however it is put together."""
    yield from _walk(settings, route, certain=False)


def certain(settings: Settings, route: RouteSettings) -> Iterator[RequireSettings]:
    """Yield the sections of which every line must hold on a route."""
    yield from _walk(settings, route, certain=True)


def _walk(settings: Settings, route: RouteSettings, *, certain: bool) -> Iterator[RequireSettings]:
    waiting = [each for each in (default_of(settings, route), route.require) if each is not None]
    seen: set[str] = set()
    while waiting:
        section = waiting.pop()
        yield section
        for name in section.policies or ():
            if name in settings.policies and name not in seen:
                seen.add(name)
                waiting.append(settings.policies[name])
        waiting += section.all or ()
        if not certain:
            waiting += section.any or ()
            waiting += (section.not_,) if section.not_ is not None else ()
