"""When certificates that the configuration names are valid: told at the start and by ``gateway check``.

It is no reason not to start: whoever restarts a gateway whose certificate has expired is better off with it
than without.
"""

import time
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from gateway.config.checks.problems import Path, Problem
from gateway.edge.configfile.yaml import Document

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SOON: Final = 7 * 86400.0
_MOST_OCTETS: Final = 1 << 20


def warn_dates(document: Document, path: Path, file: str, *, authorities: bool = False) -> None:
    """Note as a warning what is wrong with the dates of a file's certificates, if anything."""
    message = judge_dates(file, time.time(), authorities=authorities)
    if message is not None:
        document.warnings.append(Problem(path, message))


def judge_dates(file: str, now: float, *, authorities: bool = False) -> str | None:
    """Return what is wrong at ``now`` (epoch seconds), None where nothing is, or nothing can be read.

    Args:
        file: a certificate with its chain, or several authorities, as PEM.
        now: wall time.
        authorities: whether one that is valid is enough.
    """
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - only where there is TLS

    try:
        with FilePath(file).open("rb") as opened:
            first, *others = load_pem_x509_certificates(opened.read(_MOST_OCTETS))
    except (OSError, ValueError):
        # whether it can be used is another question
        return None
    if authorities:
        ends = max(map(_end_of, (first, *others)))
        return f"the last authority in it expired on {_date(ends)}" if ends <= now else None
    begins, ends = first.not_valid_before_utc.timestamp(), _end_of(first)
    if ends <= now:
        return f"this certificate expired on {_date(ends)}"
    if begins > now:
        return f"this certificate is not valid before {_date(begins)}"
    over = min(map(_end_of, others), default=ends)
    if over <= now:
        return f"a certificate of its chain expired on {_date(over)}"
    if min(ends, over) <= now + _SOON:
        return f"this certificate expires on {_date(min(ends, over))}: renew it"
    return None


def _end_of(certificate: "Certificate") -> float:
    return certificate.not_valid_after_utc.timestamp()


def _date(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M UTC")
