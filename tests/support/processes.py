"""What the system tells of a process."""

from pathlib import Path


def core_limits(pid: int) -> list[str]:
    """Return the soft and the hard limit of a process's core dumps."""
    (line,) = (
        each
        for each in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if each.startswith("Max core file size")
    )
    return line.split()[4:6]
