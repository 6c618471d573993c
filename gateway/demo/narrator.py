"""Tells in the terminal, a line for each, what happens at the gateway."""

import json
import time
from collections.abc import Callable
from typing import Any


class Narrator:
    """Takes the gateway's log lines and writes sentences about the interesting ones.

    Args:
        write: takes each line, without its line feed.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._last = ""
        self._repeated = 0

    def __call__(self, line: str) -> None:
        """Take one JSON line; what says nothing new is counted, not written."""
        sentence = tell(json.loads(line))
        if sentence is None:
            return
        if sentence == self._last:
            self._repeated += 1
            return
        self.flush()
        self._last = sentence
        self._write(f"  {time.strftime('%H:%M:%S')}  {sentence}")

    def flush(self) -> None:
        """Say how often the last sentence came again."""
        if self._repeated:
            self._write(f"            ... and {self._repeated} more of these")
        self._last, self._repeated = "", 0


def tell(fields: dict[str, Any]) -> str | None:
    """Return a sentence about one log line, or None where there is nothing to tell."""
    event = fields.get("event")
    if event == "request":
        return _request(fields) if fields.get("decision") == "refuse" else None
    teller = _TELLERS.get(str(event))
    return _printable(teller(fields)) if teller is not None else None


def _request(fields: dict[str, Any]) -> str:
    who = f", {fields['subject']}" if fields.get("subject") else ""
    what = f"{fields.get('method')} {fields.get('path')}"
    return _printable(f"refused    {what}: {fields.get('status')} {fields.get('reason')}{who}")


def _who(fields: dict[str, Any]) -> str:
    return str(fields.get("subject") or "somebody")


def _revoked(fields: dict[str, Any]) -> str:
    kind, value = fields.get("kind"), fields.get("value")
    what = "everybody" if kind == "all" else f"{kind} {value}"
    return f"revoked    {what}: what was issued until now is refused"


def _error(fields: dict[str, Any]) -> str:
    detail = fields.get("detail") or fields.get("kind") or fields.get("reason") or ""
    return f"error      {fields.get('message')}: {detail}"


_TELLERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "login": lambda fields: (
        f"login      {_who(fields)}"
        if fields.get("reason") == "login_completed"
        else f"no login   {fields.get('reason')}"
    ),
    "logout": lambda fields: f"logout     {_who(fields)}",
    "refresh": lambda fields: f"refresh    {_who(fields)}: new tokens, for the {_nth(fields)} time",
    "refresh_failed": lambda fields: f"no refresh {_who(fields)}: {fields.get('reason')}",
    "refresh_postponed": lambda fields: (
        f"no refresh yet: {fields.get('reason')}; the next request tries again"
    ),
    "reuse_detected": lambda fields: (
        f"reuse      {_who(fields)}: an old cookie came back; the session is ended"
    ),
    "revocation": _revoked,
    "error": _error,
}


def _nth(fields: dict[str, Any]) -> str:
    number = fields.get("generation")
    if not isinstance(number, int):
        return "next"
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _printable(sentence: str) -> str:
    # paths come from outside: nothing that a terminal would obey
    return "".join(sign if sign.isprintable() else "?" for sign in sentence)[:300]
