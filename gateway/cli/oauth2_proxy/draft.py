"""The configuration that an import makes: its sections, what is not as it was, what keeps it from being."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gateway.cli.oauth2_proxy.patterns import Place

NO_BEARER: Final = "no-bearer-tokens"
"""What no token is meant for."""


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
        return f"${{env:{name}}}"

    def secret(self, option: str, value: str, path: str, variable: str) -> str | None:
        """Return a reference to a secret that stood in the file or in a file of its own; None without one."""
        if path:
            return f"${{file:{path}}}"
        return self.variable(variable, f"the value of {option}") if value else None

    def note(self, option: str, text: str) -> None:
        """Tell what is not as it was."""
        self.notes.append(f"{option}: {text}")

    def error(self, option: str, text: str) -> None:
        """Tell what keeps it from being."""
        self.errors.append(f"{option}: {text}")

    def to_yaml(self, source: str) -> str:
        """Return the file, with what is not as it was above."""
        lines = [f"# From {source}, a configuration of oauth2-proxy."]
        if self.variables:
            lines += ["#", "# To be set in the environment:"]
            lines += [f"#   {name}: {what}" for name, what in self.variables.items()]
        if self.notes:
            lines += ["#", "# What is not as it was:"]
            lines += [f"#   {note}" for note in self.notes]
        body = yaml.safe_dump(self.sections, sort_keys=False, allow_unicode=True, width=110)
        return "\n".join([*lines, "", body])
