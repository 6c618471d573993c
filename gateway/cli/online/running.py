"""Asks everything side by side, each check and the whole within bounds; tells on a terminal how far it is."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from gateway.cli.online.findings import Check, Finding

_TURN: Final = 0.2
_MOST_NAMED: Final = 3


async def answer(checks: Sequence[Check], within: float) -> list[Finding]:
    """Return what the checks find, in their order.

    Args:
        checks: none depends on another.
        within: seconds for all of them.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    tasks = [loop.create_task(_answered(check, end)) for check in checks]
    progress = Progress()
    try:
        waiting = set(tasks)
        while waiting:
            progress.show(
                len(tasks) - len(waiting),
                [check for check, task in zip(checks, tasks, strict=True) if task in waiting],
            )
            _, waiting = await asyncio.wait(
                waiting,
                timeout=_TURN,
                return_when=asyncio.FIRST_COMPLETED if len(waiting) > 1 else "ALL_COMPLETED",
            )
    finally:
        progress.clear()
        for task in tasks:
            task.cancel()
    return [finding for task in tasks for finding in task.result()]


async def _answered(check: Check, end: float) -> Sequence[Finding]:
    loop = asyncio.get_running_loop()
    left = min(check.within, end - loop.time())
    try:
        async with asyncio.timeout(left):
            return await check.ask()
    except TimeoutError:
        detail = f"not answered within {left:.1f} s"
        return [Finding(check.subject, check.question, "cannot be told", detail)]
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide what the others found
        detail = f"the check itself failed ({type(error).__name__})"
        return [Finding(check.subject, check.question, "cannot be told", detail, "please report it")]


class Progress:
    """One line on a terminal that is written over, and gone at the end; nothing where there is none."""

    def __init__(self) -> None:
        self._is_shown = False
        self._is_terminal = sys.stderr.isatty()

    def show(self, done: int, waiting: Sequence[Check]) -> None:
        """Tell how many have answered, and whom it waits for."""
        if not self._is_terminal or not waiting:
            return
        subjects = list(dict.fromkeys(check.subject for check in waiting))
        named = ", ".join(subjects[:_MOST_NAMED]) + (", ..." if len(subjects) > _MOST_NAMED else "")
        self._is_shown = True
        sys.stderr.write(f"\r\x1b[K{done} of {done + len(waiting)} answered; waiting for {named}"[:120])
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
