"""Access lines in other forms than JSON: combined, as Apache and NCSA have it, and logfmt.

Whatever a client sends is data in them and never a field, a quote or a line of its own: combined escapes as
Apache does (``ap_escape_logitem``), logfmt quotes as JSON does. Both are ASCII.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Final, TypeAlias

from gateway.config.settings.logs import LogSettings
from gateway.core.headers.request import Header
from gateway.core.outcome import CORRELATION, Outcome
from gateway.edge.telemetry.log_values import MOST_FIELDS, clean_text, encode_member
from gateway.syntax.encoding import Json

Format: TypeAlias = Callable[[Outcome, float], str]
"""Returns the access line of a request that ended at a time, epoch seconds."""

USER_AGENT: Final = b"user-agent"
REFERER: Final = b"referer"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_BARE: Final = re.compile(r"[A-Za-z0-9._:/@+,;~%&?!*()-]+")
_NO_KEY: Final = re.compile(r"[^A-Za-z0-9._-]")
_MOST_USER: Final = 256


def format_of(settings: LogSettings, worker: int | None) -> Format | None:
    """Return how access lines are written, None for JSON."""
    if settings.format == "combined":
        return Combined(settings)
    return Logfmt(worker) if settings.format == "logfmt" else None


def escape(text: str) -> str:
    """Return a text as Apache writes it between quotes: bytes that are not printable ASCII by number."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    octets = text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "backslashreplace")
    return "".join(
        _ESCAPES.get(sign, sign if " " <= sign <= "~" else f"\\x{ord(sign):02x}") for sign in map(chr, octets)
    )


def _is_escaped(text: str) -> bool:
    """Tell whether every surrogate stands for a byte that was no UTF-8."""
    return all("\udc80" <= sign <= "\udcff" for sign in text if "\ud800" <= sign <= "\udfff")


class Combined:
    """The combined log format: ``client - user [time] "request" status bytes "referer" "user agent"``.

    What the configuration asks for beside follows as ``name="value"``.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._user = settings.user
        self._more = frozenset(name.lower().encode() for name in settings.request_headers)
        self._claims = frozenset(settings.claims)
        self._second, self._stamp = -1, ""

    def __call__(self, outcome: Outcome, now: float) -> str:
        """Return the line."""
        method, _, _, _, _, status, _ = outcome.kind
        headers = first_of(outcome.headers)
        # a request whose head could not be read has none
        request = f"{_bytes(method[:32])} {_path(outcome.path)} HTTP/1.1" if method else "-"
        line = (
            f'{_word(outcome.client)} - {self._user_of(outcome)} [{self._time(now)}] "{request}" {status}'
            f' {outcome.bytes_out or "-"} "{_quoted(_without_query(headers.get(REFERER)))}"'
            f' "{_quoted(headers.get(USER_AGENT))}"'
        )
        more = [*self._others(outcome, headers)]
        return f"{line} {' '.join(more)}" if more else line

    def _time(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            at = time.gmtime(second)
            self._second = second
            # whatever the locale calls the months
            self._stamp = (
                f"{at.tm_mday:02d}/{_MONTHS[at.tm_mon - 1]}/{time.strftime('%Y:%H:%M:%S', at)} +0000"
            )
        return self._stamp

    def _user_of(self, outcome: Outcome) -> str:
        identity = outcome.identity
        if identity is None or self._user == "none":
            return "-"
        if self._user == "sub":
            told: str | None = identity.subject
        else:
            told = dict(outcome.claims).get(self._user)
        return "-" if told is None else _word(clean_text(told, _MOST_USER))

    def _others(self, outcome: Outcome, headers: Mapping[bytes, str]) -> Iterator[str]:
        if CORRELATION in headers:
            yield f'proxy_request_id="{_quoted(headers[CORRELATION])}"'
        for name, value in outcome.claims:
            if name in self._claims:
                yield f'{_key(name)}="{_masked(name, value)}"'
        for field, value in headers.items():
            if field in self._more and field not in (USER_AGENT, REFERER):
                name = field.decode("latin-1")
                yield f'{_key(name)}="{_masked(name, value)}"'


def first_of(headers: tuple[Header, ...]) -> dict[bytes, str]:
    """Return the first field of each name; a client chooses how many there are."""
    told: dict[bytes, str] = {}
    for name, value in headers[: 4 * MOST_FIELDS]:
        told.setdefault(name.lower(), value[:4096].decode("utf-8", "surrogateescape"))
    return told


def _word(text: str) -> str:
    """Return a text as one word, which stands without quotes: never empty, never the dash of nobody."""
    if not text:
        return '""'
    return (
        "\\x2d"
        if text == "-"
        else escape(text).replace(" ", "\\x20").replace("[", "\\x5b").replace("]", "\\x5d")
    )


def _quoted(text: str | None) -> str:
    return "-" if not text else escape(clean_text(text))


def _shown(name: str, value: str) -> str:
    """Return a value that is asked for by name; one that is named like a secret is not shown."""
    (told,) = json.loads(f"{{{encode_member(name, value)}}}").values()
    return str(told)


def _masked(name: str, value: str) -> str:
    return escape(_shown(name, value))


def _path(path: str) -> str:
    # what is told of a path are its bytes
    return escape(clean_text(path).encode("latin-1", "replace").decode("utf-8", "surrogateescape")).replace(
        " ", "\\x20"
    )


def _bytes(octets: bytes) -> str:
    return escape(octets.decode("utf-8", "surrogateescape")).replace(" ", "\\x20")


def _without_query(referer: str | None) -> str | None:
    return None if referer is None else referer.partition("?")[0].partition("#")[0]


class Logfmt:
    """``name=value`` pairs: the members of the JSON line in the same order; those of an object have dots."""

    def __init__(self, worker: int | None) -> None:
        self._end = "" if worker is None else f" worker={worker}"

    def __call__(self, outcome: Outcome, now: float) -> str:
        """Return the line."""
        method, host, route, decision, reason, status, upstream = outcome.kind
        end = self._end if outcome.fault is None else f" fault={_text(outcome.fault)}{self._end}"
        if outcome.upstream_seconds is not None:
            end = f" upstream_us={int(outcome.upstream_seconds * 1e6)}{end}"
        if outcome.headers:
            end = "".join(_fields(outcome.headers)) + end
        where = f" upstream={_text(upstream)}" if upstream is not None else ""
        return (
            f"time={iso(now)} level=info event=request request_id={outcome.request_id}"
            f" path={_text(outcome.path)} client={_text(outcome.client)}"
            f" method={_text(method[:32].decode('latin-1'))} host={_text(host.decode('latin-1'))}"
            f" route={_text(route)} decision={decision} reason={reason} status={status}{where}"
            f"{''.join(_who(outcome))}"
            f" gateway_us={int(outcome.gateway_seconds * 1e6)} total_us={int(outcome.total_seconds * 1e6)}"
            f" bytes_in={outcome.bytes_in} bytes_out={outcome.bytes_out}{end}"
        )


def _who(outcome: Outcome) -> Iterator[str]:
    who = outcome.identity
    if who is None:
        return
    key_id = who.jti if who.kind == "key" else None
    for name, value in (
        ("issuer", who.issuer),
        ("subject", who.subject),
        ("session", who.session_id),
        ("key", key_id),
    ):
        if value is not None:
            yield f" {name}={_text(value)}"
    for name, value in outcome.claims:
        yield f" claims.{_key(name)}={_value(_shown(name, value))}"


def _fields(headers: tuple[Header, ...]) -> Iterator[str]:
    for name, value in first_of(headers).items():
        told = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if name == CORRELATION:
            yield f" proxy_request_id={_text(told)}"
        else:
            field = name.decode("latin-1")
            yield f" request_headers.{_key(field)}={_value(_shown(field, told))}"


def _text(text: str) -> str:
    return _value(clean_text(text))


def iso(now: float) -> str:
    """Return a time as log lines have it, in milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"


def to_logfmt(line: str) -> str:
    """Return a JSON line of ours as logfmt."""
    return logfmt(json.loads(line))


def logfmt(members: Mapping[str, Json]) -> str:
    """Return members as logfmt: a value is bare where it holds nothing that means something, else quoted."""
    return " ".join(_pairs("", members))


def _pairs(prefix: str, members: Mapping[str, Json]) -> Iterator[str]:
    for name, value in members.items():
        key = f"{prefix}{_key(name)}"
        if isinstance(value, dict):
            yield from _pairs(f"{key}.", value)
        else:
            yield f"{key}={_value(value)}"


def _key(name: str) -> str:
    return _NO_KEY.sub("_", name) or "_"


def _value(value: Json) -> str:
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else quote(value)
    if isinstance(value, list):
        return quote(json.dumps(value, separators=(",", ":")))
    return json.dumps(value)
