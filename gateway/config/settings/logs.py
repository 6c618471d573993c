"""Settings of the logs: what lines tell, how they are written, and where they go."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.settings.base import Model, Number, Text

Facility = Literal[
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "authpriv",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
]


class SyslogSettings(Model):
    """How syslog is spoken (RFC 5424), and what the journal is told."""

    address: Annotated[Text, Field(pattern=r"^(unix:/.+|(udp|tcp|tls)://[^/?#@]+)$")] = "unix:/dev/log"
    """The daemon: ``unix:/dev/log``, ``udp://host:514``, ``tcp://host:601`` or ``tls://host:6514``."""
    ca_file: Text | None = None
    """PEM file of the authorities that sign the certificate behind ``tls``; absent: the system's."""
    name: Annotated[Text, Field(pattern=r"^[!-~]{1,48}$")] = "gateway"
    """What messages call the program."""
    facility: Facility = "daemon"
    """The facility of messages."""
    audit_facility: Facility = "authpriv"
    """The facility of audit events, where ``audit.to`` sends them by themselves."""
    most: Annotated[Number, Field(ge=480, le=65_000)] = 8192
    """Bytes of a message; a longer one loses its end."""
    sd_id: Annotated[Text, Field(pattern=r"^[!#-<>-\\^-~]{1,26}@[0-9]{1,10}$")] | None = None
    """Under which name members are structured data, such as ``gateway@32473`` with your own number."""


class LogSettings(Model):
    """Structured logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are written."""
    access: bool = True
    """Whether every request gets a line."""
    claims: tuple[Text, ...] = Field(default=(), max_length=16)
    """Claims by which lines name a person, such as ``email``, beside issuer and subject; none by default."""
    request_headers: tuple[Text, ...] = Field(default=(), max_length=16)
    """Header fields of the request that access lines repeat, such as ``User-Agent``; none by default."""
    format: Literal["json", "combined", "logfmt"] = "json"
    """How access lines are written: ``combined`` as Apache has it; ``logfmt`` is for the other lines, too."""
    user: Text = "sub"
    """Whom ``combined`` names as the user: ``sub``, another claim such as ``email``, or ``none``."""
    proxy_request_id: Text | None = None
    """The field in which trusted proxies name a request, such as ``X-Request-ID``; absent: it is not told."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of requests that get a line, chosen by their ids: the same ones everywhere."""
    sample_errors: bool = True
    """Whether refusals, aborted requests and 5xx get a line whatever the share is."""
    to: Literal["stderr", "stdout", "syslog", "journald"] = "stderr"
    """Where lines go."""
    syslog: SyslogSettings = SyslogSettings()
    """How syslog is spoken, where lines or audit events go there, and what the journal is told."""
