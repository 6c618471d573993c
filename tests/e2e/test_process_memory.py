"""What a process keeps to itself: no core dumps, and hashes that nobody can foretell. Real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.processes import core_limits

TREE = Path(__file__).resolve().parents[2]
OFF = "hash randomisation is off"
FIXED = "PYTHONHASHSEED is set"


async def test_no_process_of_the_gateway_dumps_core():
    """[10.hold.3]: the supervisor, its workers and the embedded store; none of them can raise it again."""
    async with Fleet(2) as fleet:
        family = fleet.family()
        assert len(family) == 3
        workers = set((await fleet.pids()).values())
        assert len(workers) == 2
        assert workers <= family
        for pid in (fleet.process.pid, *family):
            assert core_limits(pid) == ["0", "0"]


def test_a_command_that_reads_secrets_dumps_no_core_either():
    """[10.hold.3]: whatever the command; it lowers the limit before it reads a word."""
    code = (
        "import resource\nfrom gateway.cli.main import main\nmain(['keys', 'generate'])\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    assert started([], code=code).stdout.splitlines()[-1] == "(0, 0)"


def started(
    words: list[str], seed: str | None = None, *options: str, code: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command, or Python's ``code``, with ``PYTHONHASHSEED`` set so, and options of Python's."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    if seed is not None:
        environment["PYTHONHASHSEED"] = seed
    command = ["-m", "gateway", *words] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *options, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=TREE,
        env=environment,
    )


@pytest.mark.parametrize(
    ("seed", "options"), [("0", ()), ("00", ()), ("0", ("-R",)), ("0", ("-E",))], ids=str
)
@pytest.mark.parametrize("words", [["run", "--config", "/nowhere.yaml"], ["demo"]], ids=" ".join)
def test_without_hash_randomisation_it_does_not_start(words: list[str], seed: str, options: tuple[str, ...]):
    """[10.hold.3]: it says what to do; neither where only the workers would be without."""
    done = started(words, seed, *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"gateway: cannot start: {OFF} (PYTHONHASHSEED={seed})")
    assert line.endswith("unset PYTHONHASHSEED")
    assert done.stdout == ""


def test_a_worker_does_not_serve_without_it_either():
    """[10.hold.3]: whoever starts it."""
    done = started([], "0", code="from gateway.worker import main\nmain(99)")
    assert done.returncode == 1
    assert OFF in done.stderr


@pytest.mark.parametrize(
    ("seed", "warned"), [("7", True), ("4294967295", True), ("random", False), ("", False), (None, False)]
)
def test_a_seed_that_somebody_has_chosen_is_warned_of(seed: str | None, warned: bool):
    """[10.hold.3]: randomisation is on then, but not for whoever knows the number."""
    done = started(["run", "--config", "/nowhere.yaml"], seed)
    assert done.returncode == 1
    assert OFF not in done.stderr
    assert (FIXED in done.stderr) is warned
    assert "/nowhere.yaml" in done.stderr


@pytest.mark.parametrize("words", [["keys", "generate"], ["--version"], ["schema"]], ids=" ".join)
def test_commands_that_serve_nobody_run_all_the_same(words: list[str]):
    """Reproducible builds may print a schema."""
    assert started(words, "0").returncode == 0
