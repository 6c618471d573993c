"""Optional parts of the installation that a configuration needs."""

import importlib.util
from collections.abc import Iterator

from gateway.config.checks.problems import Problem
from gateway.config.settings.root import Settings


def missing_extras(settings: Settings) -> Iterator[Problem]:
    """Yield what is configured and not installed."""
    if settings.telemetry is not None and not _is_there("opentelemetry.proto"):
        yield Problem(("telemetry",), 'needs the extra otel: pip install "token-gateway[otel]"')


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        # a part of its name leads nowhere
        return False
