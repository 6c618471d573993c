"""What a process of the gateway sees to before it holds a secret.

Tokens, session cookies and keys are in its memory, remembered for as long as they hold. A core dump would be
a copy of that on a disk. And whoever could tell how names hash could choose names that all land in one place
of a table, each of which is then looked through: so each process must draw the seed anew.
"""

import os
import resource
import sys

from gateway.core.fault import Fault
from gateway.core.reasons import Reason

_SEED = "PYTHONHASHSEED"


def forbid_core_dumps() -> None:
    """Let this process, and those that it starts, leave no memory behind when they crash."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def protect() -> str | None:
    """Forbid core dumps, and return a warning where the hashes of names are not drawn at random, or None.

    Raises:
        Fault: hash randomisation is off, here or for those that this process starts.
    """
    forbid_core_dumps()
    seed = os.environ.get(_SEED, "").strip()
    is_number = seed.isascii() and seed.isdigit()
    # with -E, -I or -R this process is not what its environment makes of a worker
    if not sys.flags.hash_randomization or (is_number and not int(seed)):
        raise Fault(
            "gateway",
            Reason.INTERNAL_ERROR,
            f"hash randomisation is off ({_SEED}={seed or '0'}), so clients could choose names that take very"
            f" long to look up: unset {_SEED}",
        )
    if is_number and not sys.flags.ignore_environment:
        return f"{_SEED} is set: whoever knows it can choose names that take very long to look up; unset it"
    return None
