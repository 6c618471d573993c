"""Where logs go as configured: a process's logs are opened here."""

import os
import time
from typing import Final

from gateway.config.settings.root import Settings
from gateway.core.audit.chain import Anchor, Chain, name_chain
from gateway.core.runtime import ring_of
from gateway.edge.audit.places import keys_of
from gateway.edge.telemetry.audit_file import AuditFile
from gateway.edge.telemetry.log_writer import Writer
from gateway.edge.telemetry.logs import Logs, Sink

_STREAMS: Final = {"stdout": 1, "stderr": 2}


def open_logs(settings: Settings, worker: int | None = None) -> Logs:
    """Open the logs of this process.

    Args:
        settings: the validated configuration.
        worker: the number of the worker, which every line then ends with.

    Raises:
        RuntimeError: the audit file cannot be used.
    """
    to = settings.audit.to
    audit = None if to == "log" else _open(settings, to, worker, is_audit=True)
    sink = None if settings.log.to == "stderr" else _open(settings, settings.log.to, worker, is_audit=False)
    return Logs(settings.log, worker=worker, sink=sink, audit=audit)


def file_head(logs: Logs) -> Anchor | None:
    """Return how far the audit file of this process was written; None without one, or before any line."""
    carrier = getattr(logs.audited, "carrier", None)
    return carrier.anchor if isinstance(carrier, AuditFile) else None


def _open(settings: Settings, to: str, worker: int | None, *, is_audit: bool) -> Sink:
    if to in _STREAMS:
        return Writer(_STREAMS[to])
    # a thread, and what it needs, for those who want it
    from gateway.edge.telemetry.shipping import Carrier, Shipper  # noqa: PLC0415

    syslog = settings.log.syslog
    facility = syslog.audit_facility if is_audit else syslog.facility
    carrier: Carrier
    if to == "syslog":
        from gateway.edge.telemetry.syslog import SyslogCarrier  # noqa: PLC0415 - as above

        carrier = SyslogCarrier(syslog, facility, worker)
    elif to == "journald":
        from gateway.edge.telemetry.journal import JournalCarrier  # noqa: PLC0415 - as above

        carrier = JournalCarrier(syslog, facility)
    else:
        carrier = _audit_file(settings, to.removeprefix("file:"))
    return Shipper(carrier, "audit", "audit_lost") if is_audit else Shipper(carrier, "log")


def _audit_file(settings: Settings, path: str) -> AuditFile:
    keys = keys_of(ring_of(settings))
    chain = Chain(name_chain(time.time(), os.urandom(8)), keys.newest, keys.seeds[keys.newest])
    try:
        return AuditFile(path, chain, settings.audit.sync)
    except OSError as error:
        raise RuntimeError(f"audit.to ({path}): {error.strerror}") from None
