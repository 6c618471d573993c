"""Checks of policies: every problem at once, each at the path of its setting."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from gateway.config.checks.header_names import CLAIM
from gateway.config.checks.methods import check_methods
from gateway.config.checks.problems import Path, Problem, suggestion
from gateway.config.requirements import asked
from gateway.config.settings.policies import ConditionSettings, RequireSettings
from gateway.config.settings.providers import EMAIL
from gateway.config.settings.root import Settings
from gateway.syntax import urls
from gateway.syntax.regular import Regular
from gateway.syntax.tokens import NAME

MOST_DEPTH = 20
MOST_PARTS = 1000
"""How deeply policies may be nested, and how many there may be, once the named ones are put in."""

_LOOPS = 1 << 30


def check_policies(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``policies``, of the ``require`` of all routes, and of who is to be asked."""
    for name, section in settings.policies.items():
        at: Path = ("policies", name)
        if NAME.fullmatch(name) is None:
            yield Problem(at, "a policy's name has letters, digits, - and _, at most 64")
        yield from check_section(settings, section, at)
    if settings.require is not None:
        yield from check_section(settings, settings.require, ("require",))
    if CLAIM.fullmatch(settings.roles_claim) is None:
        yield Problem(("roles_claim",), "write a claim's name without white space")
    contacts: list[tuple[Path, str | None]] = [(("contact",), settings.contact)]
    contacts += [(("routes", index, "contact"), route.contact) for index, route in enumerate(settings.routes)]
    for at, contact in contacts:
        if contact is not None and not contact.isprintable():
            yield Problem(at, "a control character")


def check_section(settings: Settings, section: RequireSettings, at: Path) -> Iterator[Problem]:
    """Yield every problem of a policy, and of all that are put together in it."""
    depth, parts = _extent(section, settings.policies, {}, ())
    if parts >= _LOOPS:
        yield Problem(at, "leads back to itself by the names of policies")
    elif depth > MOST_DEPTH or parts > MOST_PARTS:
        yield Problem(
            at, f"more than {MOST_DEPTH} deep, or more than {MOST_PARTS} policies, with the named ones put in"
        )
    yield from _check_lines(settings, section, at)


def _check_lines(settings: Settings, section: RequireSettings, at: Path) -> Iterator[Problem]:
    if not section.model_copy(update={"description": None}).model_dump(exclude_none=True):
        yield Problem(at, "requires nothing: name scopes, groups, claims, methods, acr or max_age")
    yield from check_methods(section.methods, (*at, "methods"))
    yield from _check_values(section, at)
    yield from _check_networks(section, (*at, "networks"))
    for index, name in enumerate(section.policies or ()):
        if name not in settings.policies:
            hint = suggestion(name, {**settings.policies})
            yield Problem((*at, "policies", index), f"no policy has this name in policies{hint}")
    for setting, several in (("all", section.all), ("any", section.any)):
        for index, each in enumerate(several or ()):
            yield from _check_lines(settings, each, (*at, setting, index))
    if section.not_ is not None:
        yield from _check_lines(settings, section.not_, (*at, "not"))


def _check_values(section: RequireSettings, at: Path) -> Iterator[Problem]:
    for index, scope in enumerate(section.scopes or ()):
        if not urls.is_scope(scope):
            yield Problem((*at, "scopes", index), "write one scope without white space, quote or backslash")
    for index, domain in enumerate(section.email_domains or ()):
        if not urls.is_host(domain.lower()) or ":" in domain:
            yield Problem((*at, "email_domains", index), "write a domain alone, such as example.com")
    for name, wanted in (section.claims or {}).items():
        if isinstance(wanted, ConditionSettings):
            yield from _check_claim(wanted, (*at, "claims", name))


def _check_networks(section: RequireSettings, at: Path) -> Iterator[Problem]:
    networks = section.networks or ()
    good = True
    for index, text in enumerate(networks):
        try:
            network = ip_network(text)
        except ValueError:
            good = False
            yield Problem((*at, index), "write a network such as 10.0.0.0/8, or one address")
            continue
        if urls.judge_network(text) is not None:
            good = False
            whose = "IPv4" if network.version == 4 else "IPv6"
            yield Problem(
                (*at, index), f"this network is everybody who comes by {whose}: it asks for nothing"
            )
    if good and urls.are_everybody(networks):
        yield Problem(at, "together these networks are everybody: they ask for nothing")


def _check_claim(wanted: ConditionSettings, at: Path) -> Iterator[Problem]:
    if not wanted.model_dump(exclude_none=True):
        yield Problem(at, "names no condition: equals, contains, any_of, all_of or matches")
    if wanted.matches is not None:
        try:
            Regular(wanted.matches)
        except ValueError as error:
            yield Problem((*at, "matches"), str(error))


def _extent(
    section: RequireSettings,
    named: Mapping[str, RequireSettings],
    known: dict[str, tuple[int, int]],
    trail: tuple[str, ...],
) -> tuple[int, int]:
    """Return how deep a section is, and of how many parts, with the named ones put in.

    One that leads back to itself has more parts than any other.
    """
    depth, parts = 0, len(section.claims or ()) + 1
    if len(trail) > MOST_DEPTH:
        return MOST_DEPTH + 1, parts
    for each in (*(section.all or ()), *(section.any or ()), *((section.not_,) if section.not_ else ())):
        below, more = _extent(each, named, known, trail)
        depth, parts = max(depth, below), parts + more
    for name in section.policies or ():
        if name in trail:
            return depth, _LOOPS
        if name in named and name not in known:
            known[name] = _extent(named[name], named, known, (*trail, name))
        below, more = known.get(name, (0, 0))
        depth, parts = max(depth, below), parts + more
    return depth + 1, min(parts, _LOOPS)


def warn_policies(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and yet hardly meant."""
    sections = [each for route in settings.routes for each in asked(settings, route)]
    console = settings.admin.console
    if console is not None and console.require is not None:
        sections.append(console.require)
    used = {name for each in sections for name in each.policies or ()}
    for name in settings.policies:
        if name not in used:
            yield Problem(("policies", name), "no route asks for this policy")
    if settings.require is None:
        for index, route in enumerate(settings.routes):
            if not route.default_require:
                yield Problem(("routes", index, "default_require"), "there is no require for all routes")
    if any(map(_matches_addresses, sections)):
        yield Problem(
            ("routes",),
            "a policy matches e-mail addresses by a pattern, and many a pattern takes a@b@c for one of c:"
            " email_domains asks for the domain of an address that is verified",
        )


def _matches_addresses(section: RequireSettings) -> bool:
    return any(
        isinstance(wanted, ConditionSettings)
        and wanted.matches is not None
        and name.rpartition(".")[2] == EMAIL
        for name, wanted in (section.claims or {}).items()
    )
