"""``${env:NAME}`` and ``${file:PATH}`` within the values of the configuration.

Nothing here puts what it found into an error, only the name under which it was sought.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

MOST_SECRET = 65536
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<kind>env|file):(?P<name>[^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


class UnresolvedError(ValueError):
    """A reference that leads nowhere. Its text is safe to show."""


def resolve(text: str, environment: Mapping[str, str], base: Path) -> str:
    """Replace every reference in a value; ``$${`` stands for a literal ``${``.

    Args:
        text: as written. What a reference brings is not looked at again.
        environment: the variables.
        base: the directory that relative paths start from.

    Raises:
        UnresolvedError: malformed, not found, empty, too large or no text.
    """

    def one(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match["kind"] == "env":
            return _variable(match["name"], environment)
        if match["kind"] == "file":
            return _file(match["name"], base)
        raise UnresolvedError("write ${env:NAME} or ${file:PATH}; a literal ${ is written $${")

    return _REFERENCE.sub(one, text) if "${" in text else text


def _variable(name: str, environment: Mapping[str, str]) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise UnresolvedError("the name of an environment variable has letters, digits and _")
    value = environment.get(name)
    if value is None:
        raise UnresolvedError(f"the environment variable {name} is not set")
    if not value:
        raise UnresolvedError(f"the environment variable {name} is empty")
    return value


def _file(name: str, base: Path) -> str:
    if not name or len(name) > 1024 or not name.isprintable():
        raise UnresolvedError("write the path of a file: ${file:/run/secrets/name}")
    try:
        path = base / name
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnresolvedError(f"{name} is no regular file")
        with path.open("rb") as file:
            octets = file.read(MOST_SECRET + 1)
        text = octets.decode()
    except UnicodeDecodeError:
        raise UnresolvedError(f"{name} holds no UTF-8 text") from None
    except OSError as error:
        raise UnresolvedError(f"{name} cannot be read: {error.strerror or 'unknown error'}") from None
    if len(octets) > MOST_SECRET:
        raise UnresolvedError(f"{name} holds more than {MOST_SECRET} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UnresolvedError(f"{name} is empty")
    return text
