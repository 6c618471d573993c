"""What a million entries of the denylist cost."""

import subprocess
import sys

import pytest

# an eighth of a million, so that the tables are as full as those of a million are
ENTRIES = 1_000_000 // 8
MOST_BYTES = 200 * 2**20 / 1_000_000
"""200 MiB a million."""

CHILD = """
import gc, os, secrets, sys, uuid
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry

kind, count = sys.argv[1], int(sys.argv[2])
page = os.sysconf("SC_PAGE_SIZE")

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * page

def entry(index):
    value = secrets.token_urlsafe(32) if kind == "session" else str(uuid.uuid4())
    issuer, place = "" if kind == "session" else "https://idp.example", ("0123456789", index)
    # as many as this in half a day, each with times of its own
    before = round(1.7e9 + index * 43_200 / count, 3)
    return DenyEntry(kind, issuer, value, before, before + 43_260.5, place if kind == "sub" else None)

denylist = Denylist()
before = resident()
for index in range(count):
    denylist.add(entry(index))
assert len(denylist) == count
print((resident() - before) / count)
"""


@pytest.mark.parametrize("kind", ["session", "jti", "sub"])
def test_a_million_entries_fit_into_200_mib(kind: str):
    """[10.figures]: resident memory of a process that holds them, with their expiries and their names."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, kind, str(ENTRIES)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert float(done.stdout) <= MOST_BYTES
