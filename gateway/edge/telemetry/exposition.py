"""A scrape's text: OpenMetrics where it is asked for, else Prometheus' text format 0.0.4."""

from collections.abc import Iterable
from typing import Final, Protocol, cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ASKED_AS: Final = "application/openmetrics-text"
_MOST_OFFERS: Final = 32


class Collected(Protocol):
    """What can tell its families."""

    def collect(self) -> Iterable[Metric]:
        """Make the families of one scrape."""


def expose(collected: Collected, accept: str = "") -> tuple[bytes, str]:
    """Return the text of a scrape and its content type, as an Accept field asks for it."""
    # a registry is asked for nothing but its families
    families = cast("CollectorRegistry", collected)
    if is_openmetrics_wanted(accept):
        text: bytes = generate_openmetrics(families)  # type: ignore[no-untyped-call]
        return text, OPENMETRICS
    return generate_latest(families), PLAIN


def is_openmetrics_wanted(accept: str) -> bool:
    """Tell whether OpenMetrics 1.0 is asked for by name, and nothing plain rather (RFC 9110 section 12)."""
    wanted = plain = 0.0
    for offer in accept.split(",")[:_MOST_OFFERS]:
        kind, *more = (part.strip().lower() for part in offer.split(";"))
        parameters = dict(part.partition("=")[::2] for part in more)
        weight = _weight(parameters.get("q", "1"))
        if kind == _ASKED_AS and parameters.get("version", "1.0.0") == "1.0.0":
            wanted = max(wanted, weight)
        elif kind == "text/plain":
            plain = max(plain, weight)
    return wanted > 0 and wanted >= plain


def _weight(text: str) -> float:
    try:
        weight = float(text) if len(text) <= 5 and text.isascii() else 0.0
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
