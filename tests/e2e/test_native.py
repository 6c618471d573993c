"""The compiled form in real workers, and held against the same tests as the source."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.supervision import native
from tests.support.configuration import TREE
from tests.support.fleet import Fleet

# what reads requests and answers, by real bytes; those that replace constants are left out there
_HELD = (
    "tests/conformance/test_bodies.py",
    "tests/conformance/test_connections.py",
    "tests/conformance/test_early_answers.py",
    "tests/conformance/test_framing.py",
    "tests/conformance/test_illegal_moves.py",
    "tests/conformance/test_refused_requests.py",
    "tests/conformance/test_requests.py",
    "tests/conformance/test_responses.py",
    "tests/property/test_facts.py",
    "tests/property/test_http_splits.py",
    "tests/property/test_llhttp.py",
)


@pytest.fixture(scope="module")
def compiled() -> Path:
    """Return where the compiled form of this source is."""
    found = native.find()
    if found is None:
        pytest.skip("nothing is compiled: make native (it needs a C compiler and Python's headers)")
    return found


def loaded_by(pid: int) -> str:
    """Return what a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()


async def test_workers_run_it(compiled: Path):
    """[10.1]: the supervisor finds it, and each worker has loaded it."""
    async with Fleet(2) as fleet:
        for pid in (await fleet.pids()).values():
            assert f"{compiled}/gateway/core/decide." in loaded_by(pid)


@pytest.mark.timeout(300)
def test_it_is_held_against_the_same_tests(compiled: Path):
    """[10.hold.1]: requests, responses, framing, splits, llhttp, and facts against nothing remembered."""
    done = subprocess.run(
        [
            sys.executable, "-P", "-m", "pytest", "-q", "-x", "-k", "not asyncio-",
            "-o", f"pythonpath={compiled} {TREE}", *_HELD,
        ],
        cwd=TREE,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
