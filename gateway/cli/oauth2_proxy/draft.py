"""The configuration that an import makes: its sections, what is not as it was, what keeps it from being."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gateway.cli.oauth2_proxy.patterns import Place

NO_BEARER: Final = "no-bearer-tokens"
"""What no token is meant for."""


class Reference(str):
    """What is sought elsewhere when the file is read: ``${env:NAME}`` or ``${file:PATH}``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream as it was: ``place`` is what it is for. ``settings`` are ours beside the servers."""

    place: Place
    server: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    """What is put together.

    Attributes:
        sections: of the file, by their names.
        notes: what is not as it was, and lets nobody more in.
        errors: what cannot be said, and would let somebody in, or leave nothing that works.
        variables: names of the environment that have to be set, with what goes there.
        route: what every route that looks at an identity has.
        upstreams: in their order; none where a proxy in front forwards by itself.
    """

    sections: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=dict)
    upstreams: list[Upstream] = field(default_factory=list)

    def variable(self, name: str, what: str) -> str:
        """Return a reference to a variable that has to hold a secret, and say so."""
        self.variables[name] = what
        return Reference(f"${{env:{name}}}")

    def secret(self, option: str, value: str, path: str, variable: str) -> str | None:
        """Return a reference to a secret that stood in the file or in a file of its own; None without one."""
        if path:
            return Reference(f"${{file:{path}}}")
        return self.variable(variable, f"the value of {option}") if value else None

    def note(self, option: str, text: str) -> None:
        """Tell what is not as it was."""
        self.notes.append(f"{option}: {text}")

    def error(self, option: str, text: str) -> None:
        """Tell what keeps it from being."""
        self.errors.append(f"{option}: {text}")

    def to_yaml(self, source: str) -> str:
        """Return the file, with what is not as it was above."""
        lines = [f"# From {printable(source)}, a configuration of oauth2-proxy."]
        if self.variables:
            lines += ["#", "# To be set in the environment:"]
            lines += [f"#   {name}: {printable(what)}" for name, what in self.variables.items()]
        if self.notes:
            lines += ["#", "# What is not as it was:"]
            lines += [f"#   {printable(note)}" for note in self.notes]
        body = yaml.safe_dump(_literal(self.sections), sort_keys=False, allow_unicode=True, width=110)
        return "\n".join([*lines, "", body])


def printable(text: str) -> str:
    """Return a text as one line that nothing breaks out of."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _literal(value: Any) -> Any:  # noqa: ANN401 - whatever YAML has
    """Return a value in which nothing but our own references is one."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {_literal(name): _literal(each) for name, each in value.items()}
    return [_literal(each) for each in value] if isinstance(value, list) else value
