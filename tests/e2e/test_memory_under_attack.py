"""What one process remembers while somebody floods it, weighed from outside of the test's own process."""

import json
import subprocess
import sys
from pathlib import Path

MOST_MIB = 192.0
TREE = Path(__file__).resolve().parents[2]


def test_a_flood_neither_fills_the_memory_nor_displaces_anybody():
    """R60 [10.hold.3]: long cookie lines, unverified tokens, once-only names, values, hosts and ways.

    16,384 of each, those twice that are kept when they come twice; a fifth of the requests are those of 400
    people. Of these every token, session, cookie line and way is still known afterwards.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.flooded"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=TREE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["peak"] < MOST_MIB, found
    assert found["forgotten"] == {"way": 0, "cookie": 0, "credential": 0}
