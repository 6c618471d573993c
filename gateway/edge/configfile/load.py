"""Loads the configuration: one file in, settings out, or every problem at once with its path and line."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path as FilePath

from gateway.config.checks.every import warn
from gateway.config.checks.problems import Problem
from gateway.config.settings.root import Settings
from gateway.edge.configfile.certificates import find_tls_files
from gateway.edge.configfile.extras import missing_extras
from gateway.edge.configfile.pages import find_page_files
from gateway.edge.configfile.references import resolve
from gateway.edge.configfile.token_dates import warn_token_dates
from gateway.edge.configfile.validation import validate
from gateway.edge.configfile.yaml import MOST_OCTETS, Document, read

_MOST_PROBLEMS = 100


class ConfigurationError(Exception):
    """The configuration cannot be used.

    Attributes:
        source: the name of the file.
        problems: at least one; in the order of their lines.
    """

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        super().__init__(show(source, self.problems))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be used, and what about them is hardly meant."""

    # R16: any setting may have been filled in from the environment
    settings: Settings = field(repr=False)
    warnings: list[Problem]


def show(source: str, problems: Iterable[Problem]) -> str:
    """Return one line for each problem: ``config/gateway.yaml:12: routes[1].path: ...``."""
    lines = [
        f"{source}:{problem.line}: {problem}" if problem.line else f"{source}: {problem}"
        for problem in problems
    ]
    if len(lines) > _MOST_PROBLEMS:
        lines[_MOST_PROBLEMS:] = [f"{source}: and {len(lines) - _MOST_PROBLEMS} more"]
    return "\n".join(lines)


def load_settings(path: FilePath) -> Settings:
    """Read and check the configuration file.

    Raises:
        ConfigurationError: it cannot be used; every problem is listed.
    """
    return load(path).settings


def load(path: FilePath, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read and check the configuration file, and tell what about it is hardly meant.

    Args:
        path: of the file; relative paths within it start from its directory.
        environment: the variables; the process's own by default.

    Raises:
        ConfigurationError: it cannot be used; every problem is listed.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            octets = file.read(MOST_OCTETS + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise ConfigurationError(source, [Problem((), f"cannot be read: {why}")]) from None
    return parse(octets, source, path.parent, os.environ if environment is None else environment)


def parse(octets: bytes, source: str, base: FilePath, environment: Mapping[str, str]) -> Loaded:
    """Turn the octets of a configuration file into settings.

    Args:
        octets: of the file.
        source: what errors call it.
        base: the directory that relative paths start from.
        environment: the variables.

    Raises:
        ConfigurationError: it cannot be used; every problem is listed.
    """
    if len(octets) > MOST_OCTETS:
        raise ConfigurationError(source, [Problem((), f"larger than {MOST_OCTETS} bytes")])
    document = read(octets, partial(resolve, environment=environment, base=base))
    if not document.problems and not isinstance(document.data, dict):
        what = "empty" if document.data is None else "not a mapping of settings"
        raise ConfigurationError(source, [Problem((), f"{what}: begin with public_url: https://...", 1)])
    settings, problems = None, list(document.problems)
    if isinstance(document.data, dict):
        find_tls_files(document, base)
        find_page_files(document, base, environment)
        settings, found = validate(document)
        problems = [*document.problems, *found]
        if settings is not None:
            problems.extend(missing_extras(settings))
    if problems or settings is None:
        located = [_located(each, document) for each in problems]
        raise ConfigurationError(source, located or [Problem((), "cannot be used")])
    warnings = (*document.warnings, *warn(settings), *warn_token_dates(settings, time.time()))
    return Loaded(settings, [_located(each, document) for each in warnings])


def _located(problem: Problem, document: Document) -> Problem:
    path = problem.path
    if path == ("public_url", 0) and path not in document.lines:
        # a single text, which stands for a list of one
        path = path[:-1]
    return replace(problem, path=path, line=problem.line or document.line_of(path))
