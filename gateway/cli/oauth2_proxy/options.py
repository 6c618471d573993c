"""A file of oauth2-proxy, read strictly: a name that it has not is an error, as it is there.

The file is TOML, or lines ``OAUTH2_PROXY_NAME=value`` as its environment has them. Nothing of a value is ever
in a message: it may be a secret.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.cli.oauth2_proxy.table import OPTIONS, Option

MOST_FILE: Final = 1 << 20
_PREFIX: Final = "OAUTH2_PROXY_"
_VARIABLE: Final = re.compile(r"(?:export\s+)?OAUTH2_PROXY_([A-Z0-9_]+)=(.*)")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# words that Go takes for truth values
_TRUTH: Final = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class Unreadable(Exception):  # noqa: N818 - a verdict about a file
    """What is wrong with the file, a line each; safe to show."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Options:
    """The values of a file, with defaults for what it leaves out."""

    def __init__(self, given: Mapping[str, object]) -> None:
        problems: list[str] = []
        self._values: dict[str, object] = {}
        for name, value in given.items():
            option = OPTIONS.get(name)
            if option is None:
                near = difflib.get_close_matches(name, OPTIONS, 1)
                problems.append(f"{_shown(name)}: oauth2-proxy 7.15 has no such option" + _meant(near))
                continue
            try:
                self._values[name] = _read(option, value)
            except ValueError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise Unreadable(problems)

    @property
    def given(self) -> Sequence[str]:
        """The names that the file has with another value than the default, in order."""
        return [name for name, value in self._values.items() if value != _default(OPTIONS[name])]

    def _get(self, name: str) -> object:
        return self._values.get(name, _default(OPTIONS[name]))

    def text(self, name: str) -> str:
        """Return a text, empty where there is none."""
        return str(self._get(name))

    def items(self, name: str) -> list[str]:
        """Return the members of a list."""
        value = self._get(name)
        assert isinstance(value, list)
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        return self._get(name) is True

    def seconds(self, name: str) -> float:
        """Return a duration in seconds."""
        value = self._get(name)
        assert isinstance(value, float)
        return value


def read_file(data: bytes, more: Mapping[str, object] | None = None) -> Options:
    """Read a file, and ``more`` options of another. Raises Unreadable."""
    given = _parse(data)
    return Options({**given, **(more or {})})


def _parse(data: bytes) -> Mapping[str, object]:
    if len(data) > MOST_FILE:
        raise Unreadable(["the file is too long"])
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Unreadable(["the file is no UTF-8"]) from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and all(_VARIABLE.fullmatch(line) for line in lines):
        return _of_environment(lines)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"at line [0-9]+", str(error))
        raise Unreadable([f"the file is no TOML{f' ({place[0]})' if place else ''}"]) from None


def _of_environment(lines: Sequence[str]) -> dict[str, object]:
    given: dict[str, object] = {}
    for line in lines:
        match = _VARIABLE.fullmatch(line)
        assert match is not None
        value = match[2].strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        given[match[1].lower()] = value
    return given


def _read(option: Option, value: object) -> object:
    if option.kind == "flag":
        truth = _TRUTH.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(truth, bool):
            raise ValueError("true or false is expected")
        return truth
    if option.kind == "list":
        members = value.split(",") if isinstance(value, str) else value
        if not isinstance(members, list) or not all(isinstance(each, str) for each in members):
            raise ValueError("a list of texts is expected")
        return [each.strip() for each in members if each.strip()]
    if option.kind == "duration":
        # a number is nanoseconds there, and hardly meant
        return read_duration(value if isinstance(value, str) else "")
    if option.kind == "number":
        if isinstance(value, bool) or not str(value).lstrip("-").isdecimal():
            raise ValueError("a whole number is expected")
        return int(str(value))
    if not isinstance(value, str):
        raise ValueError("a text is expected")  # noqa: TRY004 - one kind of error for all
    return value


def read_duration(text: str) -> float:
    """Return Go's ``1h30m`` in seconds. Raises ValueError."""
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("a duration such as 168h or 1h30m is expected")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _default(option: Option) -> object:
    if option.kind == "flag":
        return option.default == "true"
    if option.kind == "list":
        return option.default.split(",") if option.default else []
    if option.kind == "duration":
        return read_duration(option.default)
    return int(option.default) if option.kind == "number" else option.default


def _meant(near: Sequence[str]) -> str:
    return f"; {near[0]} is meant, perhaps" if near else ""


def _shown(name: str) -> str:
    return name if len(name) < 60 and name.isprintable() else "..."
