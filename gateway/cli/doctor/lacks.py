"""Whether the gateway that runs has all that it needs, as its own ``/readyz`` tells."""

import time
from collections.abc import Iterator
from typing import Final

from gateway.cli.healthcheck import WILD, ask
from gateway.cli.online.findings import Finding
from gateway.config.settings.admin import AdminSettings
from gateway.syntax.encoding import Json, parse_object
from gateway.syntax.urls import parse_listen

_QUESTION: Final = "has it all that it needs"
_MOST_OCTETS: Final = 65_536
_MOST_TOLD: Final = 6


def ask_what_it_lacks(settings: AdminSettings, within: float) -> Finding:
    """Ask the admin listener of this configuration.

    Args:
        settings: say where it is.
        within: seconds.
    """
    address = parse_listen(settings.listen)
    if address is None:
        return Finding("gateway", _QUESTION, "cannot be told", "admin.listen is no address")
    host, port = address
    is_tls = settings.tls is not None
    try:
        _, body = ask(WILD.get(host, (host,)), port, "/readyz", time.monotonic() + within, is_tls=is_tls)
    except OSError:
        detail = f"admin.listen ({settings.listen}) does not answer from here"
        return Finding("gateway", _QUESTION, "cannot be told", detail, "is it running, on this machine?")
    document = parse_object(body, _MOST_OCTETS)
    if document is None or "status" not in document:
        detail = f"at admin.listen ({settings.listen}) something else answers"
        return Finding("gateway", _QUESTION, "cannot be told", detail)
    if not (wrong := dict.fromkeys(_wrong(document))):
        return Finding("gateway", _QUESTION, "yes")
    # each worker tells the same where it is the store that is away; the cause comes before what it has caused
    causes = sorted(wrong, key=lambda text: (not text.startswith("store:"), text.startswith("workers:")))
    told = "; ".join(causes[:_MOST_TOLD])
    return Finding("gateway", _QUESTION, "no", told, "docs/runbook.md says what to do; its log tells more")


def _wrong(document: dict[str, Json]) -> Iterator[str]:
    """Yield what a process, and each of its workers, lacks."""
    for name in ("checks", "troubles"):
        told = document.get(name)
        for part, text in told.items() if isinstance(told, dict) else ():
            if text != "ok":
                yield f"{part}: {text}"
    workers = document.get("workers")
    for worker in workers if isinstance(workers, list) else ():
        if isinstance(worker, dict):
            yield from _wrong(worker)
