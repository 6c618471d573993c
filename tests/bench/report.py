"""From rows to a page, a chart, lines on the terminal and a verdict. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.supervision import native
from tests.bench.chart import Bar, Group, render
from tests.bench.measure import Target, Verdict, counted, judge, middle, ratio, spread, void_reason
from tests.bench.peers import GATEWAY, NGINX, PEERS
from tests.bench.rows import PER_CPU, Row, Scenario

FLOORS: Mapping[str, float] = {"visits-direct": 0.70, "visits-pooled": 0.55}

_PAGE = """# Benchmarks

Written by `make bench`; run it to have these figures for your machine. `make bench QUICK=1` takes about a
minute, measures the first two rows against nginx and Envoy, and fails below the floor ({floors}).

![Requests per CPU second of each proxy](benchmarks.svg)

What is in the way where a target is missed: [performance.md](performance.md).

## How it is measured

- Machine: {machine}.
- The proxy under test has one core to itself. The load generator, the upstreams and the identity provider
  share the other. Everything runs over the loopback.
- Each row has {rounds} rounds of {seconds} s unless it says otherwise. All peers are up, and take turns
  within each round, so that a slow minute of the machine meets all of them. A figure is the median of its
  rounds; `gateway against it` is the median of the ratios within the rounds.
- The figure that counts is work per CPU second of the proxy, with every process that it starts. What stands
  beside it is what went through in a second. A round is void where the generator's core was full before the
  proxy's was.
- Before it is measured, every peer must answer a valid token with 200; those that verify must refuse a forged
  signature, another audience, another issuer and an expired token.
- Visits: the project's own player (`tests/bench/player.py`), 64 connections, a closed loop. 400 people; 8
  kinds of browsers (Chromium, Firefox and Safari, each with its own order of fields); 10 languages; 0 to 4
  cookies of the application each. A visit is a document, 2 to 6 of 640 assets, half of them conditional,
  and 2 to 5 calls of an API with ids that come once, a quarter of them POSTs of 20 to 400 bytes. The
  upstream serves files of 2 to 48 KB and JSON. Direct: a connection is one person's for 40 to 120 requests,
  then it closes. Through a proxy: each request on a connection is another person's, with X-Forwarded-For
  and X-Forwarded-Proto, which every peer is told to believe. What is sent is drawn from a seed before a
  round and is the same for every peer; an answer of another status or length than expected makes the round
  void. A round ends early where what was drawn is used up. Before the first round everybody has asked once.
- With 20,000 people, in the flood, and with other routes, hosts and denylists, the gateway is compared with
  itself, in instances of their own. Those who flood have a fifth of the connections: forged tokens, cookies
  under the names of sessions and others, and fields with names of their own, each of which comes once.
  Their answers, most of them refusals, count like the others.
- New connections are begun at most 4,000 times a second: most of a handshake is done on the load's core,
  which would be full before nginx's is.
- Other closed-loop rows: wrk, one thread, 64 connections, headers as Chrome sends them, answers of 1 KiB.
- Latency and WebSocket rows: the project's own open-loop generator (`tests/bench/openloop.py`). Requests are
  due at times drawn beforehand (Poisson, the same for every peer), and a latency counts from the time at
  which a request was due.
- The gateway runs its normal configuration; its modules on the way of a request are {modules}.
  Its embedded store is a child of it, on its core, and counted.

## Who takes part, and in what they differ

oauth2-proxy is built from its module where Go is present. Who is not installed is left out; rows say so.

"""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how it was measured."""

    machine: str
    versions: Mapping[str, str]
    rounds: int
    seconds: float


def number(value: float | None) -> str:
    """Return a figure for people."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def describe(target: Target, scenario: Scenario) -> str:
    """Return a target in words."""
    sign = ">=" if target.at_least else "<="
    subject = "" if target.subject == GATEWAY else f"{target.subject}: "
    if target.against is not None:
        return f"{subject}{sign} {target.bound:g} x {target.against}"
    unit = scenario.beside if target.beside else scenario.primary
    return f"{subject}{sign} {target.bound:.3g} {unit}"


def verdict_text(verdict: Verdict, scenario: Scenario) -> str:
    """Return a target with what was found for it."""
    words = describe(verdict.target, scenario)
    if verdict.value is None:
        return f"{words}: not measured"
    return f"{words}: {number(verdict.value)} ({'met' if verdict.is_met else 'MISSED'})"


def _relation(row: Row, name: str) -> float | None:
    """Return the gateway's figure against a contender's, where comparing the two says something."""
    if name == GATEWAY or GATEWAY not in row.samples:
        return None
    # a ratio of two small growths of memory is noise
    if row.scenario.is_smaller_better and all(each.against is None for each in row.scenario.targets):
        return None
    return ratio(row.samples[GATEWAY], row.samples[name])


def row_lines(row: Row) -> list[str]:
    """Return a row for the terminal."""
    scenario = row.scenario
    lines = [f"{scenario.title}  [{scenario.primary}; {scenario.beside}]"]
    for name, samples in row.samples.items():
        if void := void_reason(samples):
            lines.append(f"  {name:24} void: {void}")
            continue
        low, high = spread(samples) or (0.0, 0.0)
        relation = _relation(row, name)
        beside = number(middle(samples, beside=True))
        relative = f"   gateway x{relation:.2f}" if relation is not None else ""
        figure, around = number(middle(samples)), f"[{number(low)}..{number(high)}]"
        lines.append(f"  {name:24} {figure:>9}  {around}  {beside:>9}{relative}")
    lines += [f"  {name:24} skipped: {reason}" for name, reason in row.skipped.items()]
    lines += [f"  target {verdict_text(verdict, scenario)}" for verdict in row.verdicts()]
    return lines


def below_floor(rows: Mapping[str, Row]) -> list[str]:
    """Return what is wrong with the two rows that have a floor; nothing when all is well.

    A row that was not measured is below its floor: an absent figure never passes.
    """
    wrong: list[str] = []
    missing: dict[str, list[str]] = {}
    for key, floor in FLOORS.items():
        found = floor_verdict(rows, key)
        if found.value is None:
            missing.setdefault(_why_missing(rows.get(key)), []).append(key)
        elif not found.is_met:
            wrong.append(f"{key} is {found.value:.2f} x nginx, below the floor of {floor}")
    return wrong + [f"not measured: {', '.join(keys)} ({reason})" for reason, keys in missing.items()]


def floor_verdict(rows: Mapping[str, Row], key: str) -> Verdict:
    """Return the ratio to nginx that a row's floor is about."""
    target = Target(GATEWAY, NGINX, FLOORS[key])
    return judge(target, rows[key].samples) if key in rows else Verdict(target, None)


def _why_missing(row: Row | None) -> str:
    if row is None:
        return "the row did not run"
    for name in (GATEWAY, NGINX):
        if name in row.skipped:
            return f"{name}: {row.skipped[name]}"
        if void := void_reason(row.samples.get(name, ())):
            return f"{name}: {void}"
    return "no samples"


def summary(rows: Mapping[str, Row]) -> list[str]:
    """Return the last lines of a run: at most four, the verdict last."""
    lines: list[str] = []
    for key in FLOORS:
        samples = rows[key].samples if key in rows else {}
        if middle(samples.get(GATEWAY, ())) is not None:
            parts = [
                f"{name} x{found:.2f}"
                for name in samples
                if name != GATEWAY and (found := ratio(samples[GATEWAY], samples[name])) is not None
            ]
            rate = number(middle(samples[GATEWAY]))
            lines.append(f"{key}: gateway {rate} per CPU second; against {', '.join(parts) or 'nobody'}")
    if wrong := below_floor(rows):
        return [*lines[:2], f"FAILED: {'; '.join(wrong)}"]
    floors = ", ".join(f"{key} {floor} x nginx" for key, floor in FLOORS.items())
    return [*lines[:2], f"OK: above the floors ({floors})"]


def _cell(text: str) -> str:
    """Return text that stays within its cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _table(row: Row) -> list[str]:
    scenario = row.scenario
    columns = (
        scenario.primary, "least to greatest", scenario.beside, "proxy's core", "load's core",
        "gateway against it",
    )  # fmt: skip
    lines = ["| | " + " | ".join(columns) + " |", "|---" + "|---:" * len(columns) + "|"]
    for name, samples in row.samples.items():
        title = PEERS[name].title if name in PEERS else name
        if void := void_reason(samples):
            lines.append(f"| {title} | void: {_cell(void)} | | | | | |")
            continue
        good = counted(samples)
        low, high = spread(samples) or (0.0, 0.0)
        relation = _relation(row, name)
        proxy = sum(each.proxy_share for each in good) / len(good)
        generator = sum(each.generator_share for each in good) / len(good)
        shares = (f"{proxy:.0%}", f"{generator:.0%}") if proxy > 0 else ("", "")
        lines.append(
            f"| {title} | {number(middle(samples))} | {number(low)} to {number(high)} "
            f"| {number(middle(samples, beside=True))} | {shares[0]} | {shares[1]} "
            f"| {f'x {relation:.2f}' if relation is not None else ''} |"
        )
    lines += [
        f"| {PEERS[name].title if name in PEERS else name} | skipped: {_cell(reason)} | | | | | |"
        for name, reason in row.skipped.items()
    ]
    return lines


def page(rows: Sequence[Row], setting: Setting) -> str:
    """Return the page of results in Markdown."""
    floors = ", ".join(f"{floor} x nginx {key}" for key, floor in FLOORS.items())
    lines = _PAGE.format(
        floors=floors,
        modules="compiled (`make native`)" if native.find() else "interpreted",
        machine=setting.machine,
        rounds=setting.rounds,
        seconds=f"{setting.seconds:g}",
    ).splitlines()
    for peer in PEERS.values():
        version = setting.versions.get(peer.name, "")
        lines.append(f"- **{peer.title}**{f' ({version})' if version else ''}: {peer.difference}.")
    lines += ["", "## Results", ""]
    for row in rows:
        rounds = f" ({row.scenario.rounds} rounds)" if row.scenario.rounds else ""
        lines += [f"### {row.scenario.title}{rounds}", "", *_table(row), ""]
        lines += [f"- Target {verdict_text(verdict, row.scenario)}" for verdict in row.verdicts()]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def chart(rows: Sequence[Row]) -> str:
    """Return the chart of the rows that count requests per CPU second."""
    groups: list[Group] = []
    for row in rows:
        if row.scenario.primary != PER_CPU:
            continue
        bars: list[Bar] = []
        for name, samples in row.samples.items():
            value, around = middle(samples), spread(samples)
            if value is not None and around is not None:
                kind = "gateway" if name.startswith(GATEWAY) else "limit" if name == NGINX else "peer"
                bars.append(Bar(name, value, around[0], around[1], kind))
        groups.append(Group(row.scenario.title, row.scenario.primary, bars))
    return render(groups, "Requests per CPU second of the proxy: median, and the spread of the rounds")
