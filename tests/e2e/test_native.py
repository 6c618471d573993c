"""The compiled form in real workers, and held against the same tests as the source."""

import os
import re
import shutil
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
    # what was wrong when it was compiled first: answers of several kinds, bases within
    "tests/unit/test_decision.py",
    "tests/unit/test_generations.py",
    "tests/unit/test_claim_sources.py",
    "tests/e2e/test_token_userinfo.py",
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
            # the library that holds them all: what its modules import of one another needs no file of its own
            assert re.search(rf"{re.escape(str(compiled))}/\w+__mypyc\.", loaded_by(pid))


def test_it_goes_into_an_installed_package(compiled: Path, tmp_path: Path):
    """[10.1]: of the same source it gets the extension modules, and runs them; of another none."""
    package = tmp_path / "gateway"
    shutil.copytree(native.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, str(TREE / "deploy" / "native.py"), "--into", str(package)]
    subprocess.run(command, check=True, timeout=60)
    code = "import gateway.worker, gateway.core.decide as d; print(d.__file__)"
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert Path(ran.stdout.strip()).suffix == ".so"
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path)
    for file in package.rglob("*.so"):
        file.unlink()
    (package / "core" / "memo.py").write_text("")
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 1
    assert not list(package.rglob("*.so"))


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
