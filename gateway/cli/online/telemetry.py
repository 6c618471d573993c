"""Whether what takes traces, metrics and log lines is reached; nothing is sent there."""

from collections.abc import Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from gateway.cli.online.findings import Check, Finding
from gateway.cli.online.names import Names
from gateway.cli.online.reaching import Place, reach
from gateway.config.settings.root import Settings
from gateway.config.settings.telemetry import TelemetrySettings
from gateway.http.client_tls import client_context
from gateway.syntax.urls import port_of

_SUBJECT: Final = "telemetry"


def checks(settings: Settings, names: Names, within: float) -> list[Check]:
    """Return a check for each collector."""
    section = settings.telemetry
    if section is None:
        return []
    urls = {url for each in ("traces", "metrics", "logs") if (url := section.url_of(each))}
    places = sorted({f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)})
    return [
        Check(_SUBJECT, f"is it reached ({url})", partial(_ask, section, url, names, 0.8 * within), within)
        for url in places
    ]


async def _ask(section: TelemetrySettings, url: str, names: Names, within: float) -> Sequence[Finding]:
    question = f"is it reached ({url})"
    parts = urlsplit(url)
    try:
        context = client_context(section.ca_file) if parts.scheme == "https" else None
    except OSError as error:
        why = error.strerror or "no certificates"
        return [Finding(_SUBJECT, question, "no", f"telemetry.ca_file cannot be used: {why}")]
    place = Place(parts.hostname or "", port_of(parts), context, authorities="telemetry.ca_file", name="")
    found = await reach(place, names, min(within, section.timeout))
    return [Finding(_SUBJECT, question, found.answer, found.detail, found.advice)]
