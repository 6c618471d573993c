"""The rows of the benchmark: who takes part in each, what a round is, and what is aimed at."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from tests.bench import load, sessions, visitors, wrk
from tests.bench.configurations import API, DIRECT, TLS
from tests.bench.measure import Sample, Target, middle
from tests.bench.peers import (
    APACHE,
    ASKED,
    CADDY,
    ENVOY,
    ENVOY_UNCACHED,
    GATEWAY,
    HAPROXY,
    NGINX,
    OAUTH2_ASKED,
)
from tests.bench.processes import NotStarted
from tests.bench.rig import Instance, Rig
from tests.bench.rows import PER_CPU, Context, Round, Row, Scenario
from tests.bench.visitors import COOKIE

TOKENS = 10_000
# so that every proxy has had each of them, and has it in its cache if it has one
TOKENS_WARM_UP = 6.0
FRESH_PER_SECOND = 20_000
FRESH_SECONDS = 0.5
WEBSOCKET_RATE = 4000.0
MOST_GROWTH_MEBIBYTES = 20_000_000 / (1 << 20)
REFRESHED, OLD_COOKIE = "gateway, after refresh", "gateway, old cookie"


def _seed(context: Context, name: str) -> int:
    # paths and ids differ between rounds and peers, and are the same in every run
    return (context.number * 131 + sum(name.encode())) & 0xFFFFFF


def _script(context: Context, instance: Instance, kind: str) -> str:
    bearer = instance.headers(Authorization=f"Bearer {context.rig.token}")
    if kind == "unique":
        return wrk.unique_script(API, bearer, _seed(context, instance.name))
    return wrk.repeated_script(API, bearer)


def _wrk(name: str, kind: str, context: Context, *, tls: bool = False) -> Sample:
    instance = context.rig.instance(name, TLS if tls else DIRECT)
    script = _script(context, instance, kind)
    return load.closed_loop(context.rig, instance, script, context.seconds)[0]


def _many_tokens(name: str, context: Context) -> Sample:
    instance = context.rig.instance(name)
    file = context.rig.folder / "tokens"
    if not file.exists():
        file.write_text("\n".join(context.rig.tokens("many", TOKENS)) + "\n")
    script = wrk.tokens_script(API, instance.headers(), file)
    seconds = TOKENS_WARM_UP if context.is_warm_up else context.seconds
    return load.closed_loop(context.rig, instance, script, seconds)[0]


def _fresh_tokens(rounds: int, name: str, context: Context) -> Sample:
    instance = context.rig.instance(name)
    each = int(FRESH_PER_SECOND * FRESH_SECONDS)
    tokens = context.rig.tokens("fresh", each * rounds)[each * context.number : each * (context.number + 1)]
    file = context.rig.folder / "fresh"
    file.write_text("\n".join(tokens) + "\n")
    script = wrk.tokens_script(API, instance.headers(), file)
    sample, report = load.closed_loop(context.rig, instance, script, FRESH_SECONDS)
    if report.requests > each:
        return Sample(0.0, void=f"{each} tokens were not enough for {report.requests} requests")
    return sample


def _cookie(which: str, context: Context) -> Sample:
    instance = context.rig.instance(GATEWAY)
    if which == COOKIE:
        cookie = sessions.logged_in(instance)
    else:
        before, after = sessions.refreshed(instance)
        cookie = after if which == REFRESHED else before
    script = wrk.repeated_script(API, instance.headers(Cookie=cookie))
    return load.closed_loop(context.rig, instance, script, context.seconds)[0]


def _transfer(direction: str, name: str, context: Context) -> Sample:
    instance = context.rig.instance(name)
    sample, _ = (load.download if direction == "download" else load.upload)(context.rig, instance)
    # connections that were closed are taken down before the next peer's turn
    time.sleep(0.05)
    return sample


def _growth(direction: str, name: str, context: Context) -> Sample:
    # an instance of its own: one that has moved a big body before would have grown already
    with context.rig.fresh(name) as instance:
        context.rig.check(instance)
        load.settle(instance.running.pids())
        sample, growth = (load.download if direction == "download" else load.upload)(context.rig, instance)
    # what the core had left to do says nothing of memory
    failed = sample.void if sample.primary == 0.0 else ""
    return Sample(growth, sample.beside, failed, sample.proxy_share, sample.generator_share)


def _websocket(name: str, context: Context) -> Sample:
    instance = context.rig.instance(name)
    return load.websocket(context.rig, instance, WEBSOCKET_RATE, context.seconds, context.number + 1)


def _latency(name: str, context: Context) -> Sample:
    repeated = context.rows["repeated"]
    peak = middle(repeated.samples.get(GATEWAY, ()), beside=True)
    if peak is None:
        # without the gateway's peak the peers are still measured, at a rate that each can bear
        peak = min(
            (found for each in repeated.samples.values() if (found := middle(each, beside=True))),
            default=1000.0,
        )
    return load.latency(
        context.rig, context.rig.instance(name), peak / 2, context.seconds, context.number + 1
    )


def _each(names: tuple[str, ...], function: Callable[..., Sample], *first: object) -> dict[str, Round]:
    return {name: partial(function, *first, name) for name in names}


def _kind(names: tuple[str, ...], kind: str, *, tls: bool = False) -> dict[str, Round]:
    return {name: partial(_wrk, name, kind, tls=tls) for name in names}


def gateway_lacks_tls() -> str:
    """Say why the gateway takes no part in the TLS row, or nothing: the setting decides."""
    try:
        from gateway.config.settings.root import Settings
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the gateway, its peers can be measured
        return f"the gateway cannot be imported: {error}"
    return "" if "tls" in Settings.model_fields else "the gateway has no TLS listener yet"


def scenarios(rounds: int) -> tuple[Scenario, ...]:
    """Return every row, in the order in which they run."""
    return (*visitors.scenarios(), *_requests(rounds), *_sessions(), *_bodies(), *_connections())


def _requests(rounds: int) -> tuple[Scenario, ...]:
    everybody = (GATEWAY, NGINX, HAPROXY, ENVOY, APACHE, CADDY)
    return (
        Scenario(
            "repeated",
            "The same request repeated, bearer token",
            _kind(everybody, "repeated"),
            (Target(GATEWAY, NGINX, 0.8), Target(GATEWAY, ENVOY, 3.5)),
        ),
        Scenario(
            "unique",
            "Unique path, X-Request-ID and traceparent in each request",
            _kind(everybody, "unique"),
            (Target(GATEWAY, NGINX, 0.75), Target(GATEWAY, ENVOY, 2.0), Target(GATEWAY, HAPROXY, 1.2)),
        ),
        Scenario(
            "tokens",
            f"10,000 valid tokens in turn, after {TOKENS_WARM_UP:.0f} seconds of them",
            _each((GATEWAY, ENVOY, HAPROXY), _many_tokens),
            (Target(GATEWAY, ENVOY, 2.0),),
        ),
        Scenario(
            "fresh",
            "A never-seen RS256 token in each request",
            _each((GATEWAY, ENVOY_UNCACHED, HAPROXY), _fresh_tokens, rounds),
            (Target(GATEWAY, ENVOY_UNCACHED, 1.3),),
        ),
        Scenario(
            "asked",
            "The decision endpoint under nginx: unique path, X-Request-ID and traceparent, bearer token",
            _kind((ASKED, NGINX, OAUTH2_ASKED), "unique"),
            (Target(ASKED, NGINX, 0.2), Target(ASKED, OAUTH2_ASKED, 3.0)),
        ),
    )


def _sessions() -> tuple[Scenario, ...]:
    return (
        Scenario(
            "session",
            "Browser session by cookie, fresh and just after a refresh",
            {
                GATEWAY: partial(_wrk, GATEWAY, "repeated"),
                COOKIE: partial(_cookie, COOKIE),
                REFRESHED: partial(_cookie, REFRESHED),
                OLD_COOKIE: partial(_cookie, OLD_COOKIE),
            },
            (
                Target(COOKIE, GATEWAY, 0.9),
                Target(REFRESHED, GATEWAY, 0.9),
                Target(OLD_COOKIE, COOKIE, 0.6),
            ),
        ),
    )


def _bodies() -> tuple[Scenario, ...]:
    both = (GATEWAY, NGINX)
    rows: list[Scenario] = []
    for direction in ("download", "upload"):
        rows += (
            Scenario(
                direction,
                f"100 MB {direction}",
                _each(both, _transfer, direction),
                (Target(GATEWAY, NGINX, 0.7),),
                primary="MB per CPU second",
                beside="MB/s",
            ),
            Scenario(
                f"{direction}-memory",
                f"Memory growth during a 100 MB {direction}",
                _each(both, _growth, direction),
                (Target(GATEWAY, None, MOST_GROWTH_MEBIBYTES, at_least=False),),
                primary="MiB",
                beside="MB/s",
                rounds=3,
                is_smaller_better=True,
            ),
        )
    return tuple(rows)


def _connections() -> tuple[Scenario, ...]:
    both = (GATEWAY, NGINX)
    lacking = gateway_lacks_tls()
    encrypted = {
        name: each for name, each in _kind(both, "repeated", tls=True).items() if name == NGINX or not lacking
    }
    return (
        Scenario(
            "websocket",
            f"WebSocket echo, small messages at {WEBSOCKET_RATE:,.0f}/s",
            _each(both, _websocket),
            (Target(GATEWAY, NGINX, 0.5),),
            primary="messages per CPU second",
            beside="p99 ms",
        ),
        Scenario(
            "tls",
            "TLS, keep-alive, the same request repeated",
            encrypted,
            (Target(GATEWAY, NGINX, 0.6),),
            skipped=lacking,
        ),
        Scenario(
            "latency",
            "p99 at half of the gateway's peak rate",
            _each(both, _latency),
            (Target(GATEWAY, NGINX, 2.0, at_least=False),),
            primary="p99 ms",
            beside="p50 ms",
            is_smaller_better=True,
        ),
        Scenario(
            "idle",
            "10,000 idle keep-alive connections",
            {name: partial(_idle, name) for name in both},
            (Target(GATEWAY, None, 8.0, at_least=False),),
            primary="KiB each",
            beside="MiB before",
            rounds=1,
            is_smaller_better=True,
        ),
        Scenario(
            "start",
            "Start to first answer; resident memory of the idle worker",
            {name: partial(_start, name) for name in (GATEWAY, NGINX, ENVOY)},
            (
                Target(GATEWAY, None, 1.5, at_least=False),
                Target(GATEWAY, None, 90_000_000 / (1 << 20), at_least=False, beside=True),
            ),
            primary="s",
            beside="MiB idle",
            rounds=3,
            is_smaller_better=True,
        ),
    )


def _idle(name: str, context: Context) -> Sample:
    return load.idle(context.rig, name)


def _start(name: str, context: Context) -> Sample:
    return load.start_up(context.rig, name)


def run(scenario: Scenario, rig: Rig, rounds: int, seconds: float, rows: Mapping[str, Row]) -> Row:
    """Run a scenario: every contender in each round, and each round begins with another of them."""
    row = Row(scenario)
    if scenario.skipped:
        row.skipped[GATEWAY] = scenario.skipped
    names = list(scenario.contenders)
    # a number of its own: the paths of the warm-up must not come again
    warm_up = Context(rig, -1, 0.3, rows)
    for number in range(scenario.rounds or rounds):
        shift = number % len(names) if names else 0
        for name in names[shift:] + names[:shift]:
            if name in row.skipped:
                continue
            try:
                if number == 0 and scenario.primary == PER_CPU and scenario.key not in ("fresh", "session"):
                    scenario.contenders[name](warm_up)
                sample = scenario.contenders[name](Context(rig, number, seconds, rows))
            except (NotStarted, OSError, ValueError) as error:
                row.skipped[name] = str(error)
                row.samples.pop(name, None)
                continue
            row.samples.setdefault(name, []).append(sample)
    return row
