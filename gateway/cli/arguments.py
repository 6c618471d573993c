"""The command line's parsers: each tells its examples, and what an unknown word may have meant."""

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "gateway"
Run = Callable[[argparse.Namespace], int]
_CHOICE = re.compile(r"invalid choice: '?(?P<word>[^'\s]*)'? \(choose from (?P<known>.*)\)")
_UNKNOWN = re.compile(r"unrecognized arguments: (?P<word>\S+)")
# what the same is called elsewhere
_ALSO_CALLED = {
    "start": "run",
    "serve": "run",
    "validate": "check",
    "lint": "check",
    "test": "check",
    "status": "healthcheck",
    "health": "healthcheck",
    "setup": "init",
    "configure": "init",
    "logout": "revoke",
    "why": "explain",
    "diagnose": "doctor",
}
_OPTION = re.compile(r"--[a-z][a-z-]*")


class Parser(argparse.ArgumentParser):
    """A parser whose help ends with examples, and whose errors guess what was meant.

    Attributes:
        children: the parsers of the commands below it, by name.
    """

    children: "dict[str, Parser]"

    def __init__(self, *arguments: object, **named: object) -> None:
        # what is short for one option today may be short for two tomorrow, or for another
        super().__init__(*arguments, **{"allow_abbrev": False, **named})  # type: ignore[arg-type] # as the library
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        self.children = {}

    def add_commands(self, metavar: str) -> "argparse._SubParsersAction[Parser]":
        """Let commands be added, one of which has to be given, and remember them."""
        action: argparse._SubParsersAction[Parser] = self.add_subparsers(metavar=metavar, required=True)
        # filled in as they come
        self.children = action.choices
        return action

    def format_help(self) -> str:
        """Return the help, with the command's examples below."""
        from gateway.cli.examples import EXAMPLES  # noqa: PLC0415 - help alone shows them

        lines = [f"  {example}\n      {text}" for example, text in EXAMPLES.get(self.path, ())]
        self.epilog = "\n".join(["examples:", *lines]) if lines else None
        return super().format_help()

    @property
    def path(self) -> str:
        """The command's words, without the program's own; empty for the whole."""
        return self.prog.removeprefix(PROGRAM).strip()

    def parse_known_args(  # type: ignore[override]
        self, args: "Sequence[str] | None" = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what a command does not know is its own error, so that its own usage is shown."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and not self.children:
            self.error(f"unrecognized arguments: {' '.join(_without_values(unknown))}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """End with exit code 2, the usage, and what may have been meant."""
        super().error(message + self._guess(message))

    def _guess(self, message: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 - only what is wrong needs it

        if (match := _CHOICE.search(message)) is not None:
            known = re.findall(r"[\w-]+", match["known"])
            word = _ALSO_CALLED.get(match["word"], match["word"])
        elif (match := _UNKNOWN.search(message)) is not None:
            known = _OPTION.findall(self.format_usage())
            word = match["word"].partition("=")[0]
            if word.endswith((".yaml", ".yml")) and "--config" in known:
                return f" - write --config {word}"
            if self.children and word.startswith("--"):
                is_known = any(
                    word in _OPTION.findall(each.format_usage()) for each in self.children.values()
                )
                return f" - it follows the command: {self.prog} COMMAND {word}" if is_known else ""
        else:
            return ""
        near = get_close_matches(word, known, 1, 0.6)
        return f" - did you mean {near[0]}?" if near else ""


def _without_values(words: "Sequence[str]") -> list[str]:
    """Return unknown words without what may be a secret: the value of an option that was misspelt."""
    shown: list[str] = []
    is_value = False
    for word in words:
        is_option = word.startswith("-")
        if is_option or not is_value:
            shown.append(word.partition("=")[0] if is_option else word)
        is_value = is_option and "=" not in word
    return shown


def command(parsers: "argparse._SubParsersAction[Parser]", name: str, text: str, run: Run) -> Parser:
    """Add a command, and return its parser.

    Args:
        parsers: of the command that it belongs to.
        name: its word.
        text: what it does, in lower case and without a full stop.
        run: takes the parsed options and returns the exit code.
    """
    parser = parsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(command=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let the configuration file be named."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="default: $GATEWAY_CONFIG, else gateway.yaml, else config/gateway.yaml",
    )


def seconds_up_to(most: float) -> Callable[[str], float]:
    """Return what reads an option's seconds: more than 0, and at most so many."""

    def read(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= most:
            raise argparse.ArgumentTypeError(f"write seconds, more than 0 and at most {most:g}")
        return seconds

    return read
