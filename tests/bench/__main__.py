"""The benchmark beside real peers: ``python -m tests.bench`` (``make bench``).

Pins the proxy under test to core 0 and the load with the upstreams to core 1, interleaves the rounds, prints
medians and pairwise ratios, and writes docs/benchmarks.md with its chart. With ``QUICK=1`` in the
environment, or ``--quick``: the visits, direct and pooled, against nginx and Envoy, nothing written.
Exit code: 0; 1 below a floor; 2 where nothing can be measured.

    measure    medians, ratios, void rows          rig        what stands around the peers
    processes  start, pin, /proc, end              load       one measured round of each kind
    wrk        the closed loop                     sessions   logging in, refreshing
    openloop   the open loop                       people     browsers, and who uses them
    player     the closed loop of the visits       website    what they visit
    peers      the contestants                     visits     what they ask, drawn from a seed
    asked      nginx that asks one of them         beside     two of them as one
    shapes     the gateway in other shapes         floods     what comes once
    denied     a million entries in its denylist   traffic    a file of all that for each round
    rows       what a row is                       visitors   the rows of the visits
    report     page, chart, summary                scenarios  every row and its targets
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from tests.bench import oauth2_proxy, report, scenarios
from tests.bench.peers import APACHE, CADDY, ENVOY, GATEWAY, HAPROXY, NGINX, OAUTH2_PROXY, PEERS
from tests.bench.processes import NotStarted, find_program
from tests.bench.rig import Rig, rigged
from tests.bench.rows import Row, Scenario, narrowed

DOCS = Path(__file__).resolve().parents[2] / "docs"
QUICK_PEERS = (GATEWAY, NGINX, ENVOY)
QUICK_ROUNDS, QUICK_SECONDS = 5, 1.0
ROUNDS, SECONDS = 7, 2.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_VERSION_COMMANDS = {
    NGINX: ("nginx", "-v"),
    HAPROXY: ("haproxy", "-v"),
    ENVOY: ("envoy", "--version"),
    APACHE: ("apache2", "-v"),
    CADDY: ("caddy", "version"),
}


def arguments(argv: list[str], environment: "os._Environ[str] | dict[str, str]") -> argparse.Namespace:
    """Return the options; QUICK=1 in the environment is ``--quick``."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__, add_help=True)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--quick", action="store_true", help="the visits, direct and pooled, against nginx and Envoy"
    )
    parser.add_argument("--rounds", type=int, help=f"at least 1; {ROUNDS} by default")
    parser.add_argument("--seconds", type=float, help=f"of each round; {SECONDS:g} by default")
    parser.add_argument(
        "--only", action="append", metavar="ROW", help="run only this row (repeatable); write nothing"
    )
    parser.add_argument(
        "--output", type=Path, default=DOCS, help="the folder of benchmarks.md and benchmarks.svg"
    )
    options = parser.parse_args(argv)
    options.quick = options.quick or environment.get("QUICK", "") not in ("", "0")
    options.rounds = max(1, options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS))
    options.seconds = max(0.2, options.seconds or (QUICK_SECONDS if options.quick else SECONDS))
    return options


def chosen(options: argparse.Namespace) -> list[Scenario]:
    """Return the rows to run."""
    rows = scenarios.scenarios(options.rounds)
    if options.quick:
        return [narrowed(row, QUICK_PEERS) for row in rows if row.is_quick]
    if options.only:
        known = {row.key for row in rows}
        if unknown := set(options.only) - known:
            raise SystemExit(
                f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
            )
        # the rate of the latency row is half of what the first row finds
        wanted = set(options.only) | ({"repeated"} if "latency" in options.only else set())
        return [row for row in rows if row.key in wanted]
    return list(rows)


def versions() -> dict[str, str]:
    """Return what each peer calls its version, where it is installed."""
    found: dict[str, str] = {}
    for name, (program, flag) in _VERSION_COMMANDS.items():
        path = find_program(program)
        if path is not None:
            done = subprocess.run([path, flag], capture_output=True, text=True, timeout=20, check=False)
            text = (done.stdout + done.stderr).strip()
            words = [word for word in text.replace("/", " ").replace("v", " ").split() if word[:1].isdigit()]
            dotted = [word for word in words if "." in word]
            found[name] = dotted[0].rstrip(",;") if dotted else ""
    if not PEERS[OAUTH2_PROXY].absent():
        found[OAUTH2_PROXY] = oauth2_proxy.VERSION.removeprefix("v")
    return found


def machine() -> str:
    """Return the processor and the kernel's kind."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def prepare(options: argparse.Namespace) -> None:
    """Have built what must be built, before anything is measured."""
    names = {name for row in chosen(options) for name in row.contenders}
    if OAUTH2_PROXY in names and (reason := PEERS[OAUTH2_PROXY].absent()):
        say(f"{OAUTH2_PROXY} takes no part: {reason}")


def measure(rig: Rig, options: argparse.Namespace) -> dict[str, Row]:
    """Run the rows, printing each as it is done."""
    rows: dict[str, Row] = {}
    for scenario in chosen(options):
        rows[scenario.key] = scenarios.run(scenario, rig, options.rounds, options.seconds, rows)
        rig.end_shaped()
        for line in report.row_lines(rows[scenario.key]):
            say(line)
        say("")
    return rows


def write(rows: dict[str, Row], options: argparse.Namespace) -> None:
    """Write the page and its chart."""
    setting = report.Setting(machine(), versions(), options.rounds, options.seconds)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "benchmarks.md").write_text(report.page(list(rows.values()), setting))
    (options.output / "benchmarks.svg").write_text(report.chart(list(rows.values())))


def _stop(number: int, _: FrameType | None) -> None:
    # nothing may cut short what this raises: it unwinds the stacks that end the processes
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    say("stopped; every process is ended")
    raise SystemExit(128 + number)


def main(argv: list[str]) -> int:
    """Run the benchmark; return the exit code."""
    options = arguments(argv, os.environ)
    for number in STOPPING:
        signal.signal(number, _stop)
    began = time.monotonic()
    prepare(options)
    try:
        with rigged() as rig:
            rows = measure(rig, options)
    except NotStarted as error:
        say(f"nothing can be measured: {error}")
        return 2
    if not options.quick and not options.only:
        for peer in PEERS.values():
            say(f"{peer.title}: {peer.difference}")
        write(rows, options)
    if options.only:
        return 0
    say(f"{time.monotonic() - began:.0f} s")
    for line in report.summary(rows):
        say(line)
    return 1 if report.below_floor(rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
