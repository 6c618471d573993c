"""What a command says, and how it says that it cannot."""

import sys


class CommandError(Exception):
    """The command cannot do its work; the text is printed as it is and says what to do about it."""


def complain(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def say(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")
