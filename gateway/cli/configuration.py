"""The configuration that a command is about."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.terminal import CommandError, complain

if TYPE_CHECKING:
    from gateway.edge.configfile.load import Loaded

_PLACES = ("gateway.yaml", "config/gateway.yaml")


def find_configuration(given: str | None) -> Path:
    """Return the configuration file: as given, ``$GATEWAY_CONFIG``, or the first usual place that exists.

    Raises:
        CommandError: there is none.
    """
    if named := given or os.environ.get("GATEWAY_CONFIG"):
        return Path(named)
    for place in map(Path, _PLACES):
        if place.exists():
            return place
    raise CommandError(
        f"gateway: no configuration: name it with --config or GATEWAY_CONFIG, or write {_PLACES[0]}"
        " (gateway init asks what goes in)"
    )


def load_configuration(options: argparse.Namespace) -> "tuple[Path, Loaded]":
    """Return the configuration file that the options name, and what is in it.

    Raises:
        CommandError: there is none, or it is no good.
    """
    path = find_configuration(options.config)
    from gateway.edge.configfile.load import ConfigurationError, load  # noqa: PLC0415 - pydantic is not cheap

    try:
        return path, load(path)
    except ConfigurationError as error:
        raise CommandError(str(error)) from None


def warn(path: Path, loaded: "Loaded") -> None:
    """Tell the warnings of a configuration."""
    from gateway.edge.configfile.load import show  # noqa: PLC0415 - as above

    if loaded.warnings:
        complain("\n".join(f"{line} (warning)" for line in show(str(path), loaded.warnings).splitlines()))
