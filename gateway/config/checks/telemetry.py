"""Checks of what is sent by OTLP, and to whom."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.root import Settings
from gateway.config.settings.telemetry import TelemetrySettings
from gateway.syntax import urls
from gateway.syntax.tokens import is_token

SIGNALS: Final[tuple[Literal["traces", "metrics", "logs"], ...]] = ("traces", "metrics", "logs")
# what the export itself says; another value would make the message unreadable
_OWN_FIELDS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "te", "transfer-encoding"}
)
_ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")
_OWN_ATTRIBUTES: Final = ("service.name", "service.version", "service.instance.id", "telemetry.")


def check_telemetry(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of what is sent, and to whom."""
    telemetry = settings.telemetry
    if telemetry is None:
        return
    yield from _check_endpoints(telemetry)
    for name, value in telemetry.headers.items():
        at: Path = ("telemetry", "headers", name)
        if not is_token(name):
            yield Problem(at, "not the name of a header field (RFC 9110 section 5.6.2)")
        elif name.lower() in _OWN_FIELDS:
            yield Problem(at, "the message says this itself")
        text = value.get_secret_value()
        if not (text.isascii() and text.isprintable() and text.strip() == text):
            yield Problem(at, "a value is printable ASCII, without white space around it")
    for name in telemetry.attributes:
        if _ATTRIBUTE.fullmatch(name) is None:
            yield Problem(
                ("telemetry", "attributes", name), "write a name such as deployment.environment.name"
            )
        elif name.startswith(_OWN_ATTRIBUTES):
            yield Problem(("telemetry", "attributes", name), "the gateway says this itself")


def _check_endpoints(telemetry: TelemetrySettings) -> Iterator[Problem]:
    if all(getattr(telemetry, signal) is None for signal in SIGNALS):
        yield Problem(
            ("telemetry",), "nothing is sent: name traces, metrics or logs, such as traces: {sample: 0.1}"
        )
    if telemetry.endpoint is not None:
        message = urls.judge_url(telemetry.endpoint, insecure=True, query=False)
        if message is not None:
            yield Problem(("telemetry", "endpoint"), message)
    for signal in SIGNALS:
        section = getattr(telemetry, signal)
        if section is None:
            continue
        if section.endpoint is None and telemetry.endpoint is None:
            yield Problem(("telemetry", signal, "endpoint"), "neither here nor in telemetry.endpoint")
        elif section.endpoint is not None:
            message = urls.judge_url(section.endpoint, insecure=True)
            if message is not None:
                yield Problem(("telemetry", signal, "endpoint"), message)


def warn_telemetry(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and yet hardly meant."""
    telemetry = settings.telemetry
    if telemetry is None:
        return
    for signal in SIGNALS:
        url = telemetry.url_of(signal) or ""
        parts = urls.split_url(url)
        if parts is None or parts.scheme != "http" or urls.is_loopback(parts.hostname or ""):
            continue
        told = "log lines name people" if signal == "logs" else "what is sent tells who asks for what"
        if telemetry.headers:
            told = "whoever is on the network can read the header fields, and send in our name"
        yield Problem(("telemetry", signal), f"goes by plain http to another machine: {told}")
    traces = telemetry.traces
    if traces is None:
        return
    if traces.continue_from == "anybody":
        yield Problem(
            ("telemetry", "traces", "continue_from"),
            "every client can have its requests recorded, and name the trace that they belong to",
        )
