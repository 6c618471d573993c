"""The rows of the visits: who is visited by whom, on what connections, and what is aimed at."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.bench import denied, load, sessions, shapes, visits
from tests.bench.configurations import DIRECT, PROXIED
from tests.bench.floods import flooded
from tests.bench.measure import Sample, Target
from tests.bench.peers import APACHE, CADDY, ENVOY, GATEWAY, HAPROXY, NGINX, OAUTH2_PROXY
from tests.bench.people import people
from tests.bench.processes import largest
from tests.bench.provider import opaque
from tests.bench.rig import Instance, Rig
from tests.bench.rows import Context, Scenario
from tests.bench.traffic import Traffic, pooled
from tests.bench.visits import AUTHORITY, Credential, Crowd, Script, bearer
from tests.bench.website import site
from tests.bench.wrk import CONNECTIONS

PEOPLE, MANY_PEOPLE, HOSTED_PEOPLE = 400, 20_000, 1000
MOST_WORKER_MEBIBYTES = 192.0
MOST_DENYLIST_MEBIBYTES = 200.0
MEBIBYTE = 1 << 20
# the kernel lets the load pay for most of a handshake: at full speed it would be full before nginx is
NEW_PER_SECOND = 4000.0
EVERYBODY = (GATEWAY, NGINX, HAPROXY, ENVOY, APACHE, CADDY, OAUTH2_PROXY)
ASSERTED = "gateway, assertions"
OPAQUE, KEYED = "gateway, opaque tokens", "gateway, API keys"
COOKIE, CROWDED, FLOODED = "gateway, cookie", "gateway, 20,000 people", "gateway, flooded"
ROUTES, DENIED, HOSTS = "gateway, 64 routes", "gateway, 1 million denied", "gateway, 1,000 hosts"


def crowd(rig: Rig, count: int = PEOPLE, *, is_proxied: bool = False) -> Crowd:
    """Return people with a bearer token each."""
    scheme = "https" if is_proxied else "http"
    return Crowd(people(count), rig.bearers(count), site(), scheme, is_proxied)


def played(context: Context, instance: Instance, traffic: Traffic, pace: float = 0.0) -> Sample:
    """Return what came of a round of visits, or of a warm-up."""
    rig = context.rig
    if context.is_warm_up:
        samples = [
            load.visits(rig, instance, file, seconds, CONNECTIONS)
            for file, seconds in traffic.warm_up(rig.folder)
        ]
        return samples[-1]
    file = traffic.file(rig.folder, context.number, context.seconds)
    return load.visits(rig, instance, file, context.seconds, CONNECTIONS, pace)


def _with_memory(instance: Instance, sample: Sample) -> Sample:
    return replace(sample, beside=largest(instance.running.pids()) / MEBIBYTE)


def _direct(row: str, name: str, context: Context) -> Sample:
    traffic = Traffic(row, "bearer", lambda: crowd(context.rig))
    return played(context, context.rig.instance(name), traffic)


def _pooled(row: str, name: str, context: Context) -> Sample:
    traffic = Traffic(row, "bearer", lambda: crowd(context.rig, is_proxied=True), pooled)
    return played(context, context.rig.instance(name, PROXIED), traffic)


def _asserted(row: str, context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY, DIRECT, shapes.ASSERTED)
    return played(context, instance, Traffic(row, "bearer", lambda: crowd(context.rig)))


def _machines(row: str, name: str, make: Callable[[int], str], context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY, DIRECT, shapes.MACHINES)
    known = [bearer(make(person)) for person in range(PEOPLE)]
    traffic = Traffic(row, name, lambda: replace(crowd(context.rig), credentials=known))
    return played(context, instance, traffic)


def _cookie(row: str, context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY)
    known = context.rig.known(
        "cookies",
        lambda: [Credential(cookie=sessions.logged_in(instance, person)) for person in range(PEOPLE)],
    )
    traffic = Traffic(row, "cookie", lambda: replace(crowd(context.rig), credentials=known))
    return played(context, instance, traffic)


def _crowd(row: str, count: int, context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY, PROXIED, f"{count} people")
    traffic = Traffic(row, f"{count}", lambda: crowd(context.rig, count, is_proxied=True), pooled)
    return _with_memory(instance, played(context, instance, traffic))


def _flood(row: str, context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY, DIRECT, "flooded")
    names = context.rig.known("cookie names", lambda: _cookie_names(instance))

    def draw(who: Crowd, amount: int, seed: int) -> list[Script]:
        return flooded(who, context.rig.token, names, amount, seed)

    traffic = Traffic(row, "flood", lambda: crowd(context.rig), draw)
    return _with_memory(instance, played(context, instance, traffic))


def _unflooded(row: str, context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY, DIRECT, "not flooded")
    return _with_memory(instance, played(context, instance, Traffic(row, "none", lambda: crowd(context.rig))))


def _cookie_names(instance: Instance) -> list[str]:
    return [pair.partition("=")[0] for pair in sessions.logged_in(instance).split("; ")]


def _single(row: str, name: str, context: Context) -> Sample:
    traffic = Traffic(row, "bearer", lambda: crowd(context.rig), visits.single, 1.5 * NEW_PER_SECOND)
    return played(context, context.rig.instance(name), traffic, NEW_PER_SECOND)


def _shaped(row: str, shape: str, context: Context) -> Sample:
    """Visits to the gateway in a shape; one of them has a million entries in its denylist."""
    instance = context.rig.instance(GATEWAY, PROXIED, shape)
    if shape == shapes.DENIED:
        _deny(context)
    authorities = [AUTHORITY]
    if shape == shapes.HOSTS:
        authorities += [shapes.host(number) for number in range(1, shapes.MOST_HOSTS)]
    traffic = Traffic(
        row,
        shape,
        lambda: replace(crowd(context.rig, HOSTED_PEOPLE, is_proxied=True), authorities=authorities),
        pooled,
    )
    return played(context, instance, traffic)


def _deny(context: Context) -> Sample:
    """Return by how much a worker grew with the entries, which are written when first asked for."""

    def fill() -> Sample:
        instance = context.rig.instance(GATEWAY, PROXIED, shapes.DENIED)
        growth = denied.fill(instance)
        return Sample(growth / MEBIBYTE, largest(instance.running.pids()) / MEBIBYTE)

    return context.rig.known("denied", fill)


def scenarios() -> tuple[Scenario, ...]:
    """Return the rows of the visits, in the order in which they run."""
    return (*_peers(), *_memories(), *_shapes())


def _peers() -> tuple[Scenario, ...]:
    return (
        Scenario(
            "visits-direct",
            f"Page visits of {PEOPLE} people, a connection each",
            {name: partial(_direct, "visits-direct", name) for name in EVERYBODY},
            (
                Target(GATEWAY, NGINX, 0.85),
                Target(GATEWAY, ENVOY, 1.8),
                Target(GATEWAY, HAPROXY, 1.6),
                Target(GATEWAY, OAUTH2_PROXY, 11.0),
            ),
            is_quick=True,
        ),
        Scenario(
            "visits-pooled",
            f"Page visits of {PEOPLE} people through a proxy, each request on a connection another person's",
            {name: partial(_pooled, "visits-pooled", name) for name in EVERYBODY},
            (
                Target(GATEWAY, NGINX, 0.68),
                Target(GATEWAY, ENVOY, 1.5),
                Target(GATEWAY, HAPROXY, 1.0),
                Target(GATEWAY, OAUTH2_PROXY, 6.0),
            ),
            is_quick=True,
        ),
        Scenario(
            "connections",
            f"New connections, one request of an API each, {NEW_PER_SECOND:,.0f} a second at most",
            {name: partial(_single, "connections", name) for name in (GATEWAY, NGINX, HAPROXY, ENVOY)},
            (Target(GATEWAY, NGINX, 0.5),),
        ),
    )


def _memories() -> tuple[Scenario, ...]:
    with_memory = "MiB of the worker"
    return (
        Scenario(
            "visits-cookie",
            f"Page visits of {PEOPLE} people, a connection each, sessions in cookies instead of tokens",
            {
                GATEWAY: partial(_direct, "visits-cookie", GATEWAY),
                COOKIE: partial(_cookie, "visits-cookie"),
            },
            (Target(COOKIE, GATEWAY, 0.95),),
        ),
        Scenario(
            "visits-asserted",
            f"Page visits of {PEOPLE} people, a connection each, with a signed assertion for the upstream",
            {
                GATEWAY: partial(_direct, "visits-asserted", GATEWAY),
                ASSERTED: partial(_asserted, "visits-asserted"),
            },
            (Target(ASSERTED, GATEWAY, 0.93),),
        ),
        Scenario(
            "visits-machines",
            f"Page visits of {PEOPLE} people, a connection each, opaque tokens or API keys instead of JWTs",
            {
                GATEWAY: partial(_direct, "visits-machines", GATEWAY),
                OPAQUE: partial(_machines, "visits-machines", OPAQUE, opaque),
                KEYED: partial(_machines, "visits-machines", KEYED, shapes.api_key),
            },
            (Target(OPAQUE, GATEWAY, 0.95), Target(KEYED, GATEWAY, 0.95)),
        ),
        Scenario(
            "visits-crowd",
            f"Page visits of {PEOPLE} and of {MANY_PEOPLE:,} people through a proxy",
            {
                GATEWAY: partial(_crowd, "visits-crowd", PEOPLE),
                CROWDED: partial(_crowd, "visits-crowd", MANY_PEOPLE),
            },
            (
                Target(CROWDED, GATEWAY, 0.95),
                Target(CROWDED, None, MOST_WORKER_MEBIBYTES, at_least=False, beside=True),
            ),
            beside=with_memory,
        ),
        Scenario(
            "visits-flood",
            f"Page visits of {PEOPLE} people, during a flood of tokens, cookies and names that come once",
            {GATEWAY: partial(_unflooded, "visits-flood"), FLOODED: partial(_flood, "visits-flood")},
            (
                Target(FLOODED, GATEWAY, 0.85),
                Target(FLOODED, None, MOST_WORKER_MEBIBYTES, at_least=False, beside=True),
            ),
            beside=with_memory,
        ),
    )


def _shapes() -> tuple[Scenario, ...]:
    shaped = {GATEWAY: shapes.ONE, ROUTES: shapes.ROUTES, DENIED: shapes.DENIED, HOSTS: shapes.HOSTS}
    return (
        Scenario(
            "visits-shapes",
            f"Page visits of {HOSTED_PEOPLE:,} people through a proxy: one route, 64 routes, 1 million "
            "denylist entries, 1,000 hosts",
            {name: partial(_shaped, "visits-shapes", shape) for name, shape in shaped.items()},
            tuple(Target(name, GATEWAY, 0.95) for name in shaped if name != GATEWAY),
        ),
        Scenario(
            "denylist-memory",
            "What a worker grows by with a million entries in the denylist",
            {GATEWAY: _deny},
            (Target(GATEWAY, None, MOST_DENYLIST_MEBIBYTES, at_least=False),),
            primary="MiB",
            beside="MiB of the worker",
            rounds=1,
            is_smaller_better=True,
        ),
    )
