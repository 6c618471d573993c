"""What a log says of logins that failed: audit events ``login`` and ``site_refused``, and refusals."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.diagnoses import DIAGNOSES
from gateway.core.reasons import Reason
from gateway.syntax.encoding import Json, parse_object

PROBE: Final = "gateway_doctor"
"""The error with which ``gateway doctor`` itself comes to a callback, in the provider's place."""
MOST_LOG: Final = 256 << 20
"""Bytes of a log that are read, its last ones."""
_MOST_LINE: Final = 1 << 16
_ENDED_WELL: Final = frozenset(
    {"login_completed", "already_logged_in", "login_evicted", "login_returned", "login_started"}
)
_EVENTS: Final = frozenset({"login", "site_refused", "refusal", "request"})
_LOGFMT: Final = re.compile(r'(?:^| )([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)')


@dataclass(frozen=True, slots=True)
class Failure:
    """One login that failed, as the log tells it. Empty where it does not say.

    ``known`` says whether the reason is one of the vocabulary and of a login.
    """

    time: str
    reason: str
    request_id: str
    provider: str = ""
    client: str = ""
    detail: str = ""
    claim: str = ""
    cause: str = ""

    @property
    def known(self) -> Reason | None:
        """The reason, where it has a diagnosis."""
        try:
            reason = Reason(self.reason)
        except ValueError:
            return None
        return reason if reason in DIAGNOSES else None


def failures(lines: Iterable[bytes], request_id: str | None = None) -> list[Failure]:
    """Return the logins that failed, oldest first, each once.

    Args:
        lines: of a log; what is none of ours is passed over, whatever stands before the JSON.
        request_id: of the one that is asked about, whatever became of it; None for all.
    """
    found: dict[str, Failure] = {}
    for index, line in enumerate(_events(lines)):
        event, reason = line.get("event"), _text(line, "reason")
        name = _text(line, "request_id")
        if request_id is not None and name != request_id:
            continue
        # what was refused elsewhere is no login, unless it is the one that is asked about
        if event in ("refusal", "request") and request_id is None:
            continue
        if (reason in _ENDED_WELL or line.get("detail") == PROBE) and request_id is None:
            continue
        if not reason or (event == "request" and name in found):
            continue
        found.pop(name, None)
        found[name or f"#{index}"] = Failure(
            _text(line, "time"),
            reason,
            name,
            _text(line, "provider"),
            _text(line, "client"),
            _text(line, "detail"),
            _text(line, "claim"),
            _text(line, "cause"),
        )
    return list(found.values())


def _events(lines: Iterable[bytes]) -> Iterator[Mapping[str, Json]]:
    for line in lines:
        if len(line) > _MOST_LINE or b"event" not in line:
            continue
        start = line.find(b"{")
        document = parse_object(line[start:].strip(), _MOST_LINE) if start >= 0 else None
        if document is None and b"event=" in line:
            document = _logfmt(line.decode("utf-8", "replace").rstrip())
        if document is not None and document.get("event") in _EVENTS:
            yield document


def _logfmt(line: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, text in _LOGFMT.findall(line):
        try:
            found[name] = json.loads(text) if text.startswith('"') else text
        except ValueError:
            continue
    return found


def _text(line: Mapping[str, Json], name: str) -> str:
    value = line.get(name)
    return value if isinstance(value, str) else ""
