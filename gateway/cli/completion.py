"""The command ``completion``: prints what lets a shell complete the other commands and their options."""

import argparse
from typing import TYPE_CHECKING, Final

from gateway.cli.arguments import command
from gateway.cli.terminal import CommandError, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cli.arguments import Parser

SHELLS: Final = ("bash", "zsh", "fish", "tcsh")


def add_arguments(parsers: "argparse._SubParsersAction[Parser]", build: "Callable[[], Parser]") -> None:
    """Add the command.

    Args:
        parsers: of the whole.
        build: returns the parser of the whole, with every option.
    """
    parser = command(parsers, "completion", "print what lets a shell complete these commands", completion)
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh, fish or tcsh")
    parser.set_defaults(build=build)


def completion(options: argparse.Namespace) -> int:
    """Print the completion of a shell."""
    import shtab  # noqa: PLC0415 - only this command needs it

    if options.shell not in shtab.SUPPORTED_SHELLS:
        raise CommandError(
            f"gateway: shtab {shtab.__version__} knows no {options.shell}: pip install -U shtab"
        )
    parser: Parser = options.build()
    _mark_files(parser, shtab.FILE)
    say(shtab.complete(parser, options.shell).rstrip())
    return 0


def _mark_files(parser: "Parser", complete: object) -> None:
    """Let what is the name of a file be completed as one."""
    for action in parser._actions:  # noqa: SLF001 - argparse tells of its options in no other way
        if action.metavar == "FILE":
            action.complete = complete  # type: ignore[attr-defined] # where shtab looks for it
    for child in parser.children.values():
        _mark_files(child, complete)
