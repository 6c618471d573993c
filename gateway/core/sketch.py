"""One pass over a request's fields: what the decision reads of them, and which lines go on to the upstream.

Everything after the pass works on what was found here; nothing reads the fields again. Lines are whole, with
their CRLF, so that what passes unchanged is never taken apart and put together again.
"""

from dataclasses import dataclass

from gateway.core.headers import names as fields
from gateway.core.headers.names import NameKinds
from gateway.core.headers.request import Field, Header, Request
from gateway.syntax.tokens import named_in

# what does not go on, and says nothing to a decision by itself
_UNREAD = frozenset({fields.DROP, fields.FORWARDING})
# what a Connection field may say without naming anything that would otherwise go on
_HARMLESS_OPTIONS = frozenset({b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade", b"te", b""})
# what Sec-Purpose and the fields before it say of a page that is loaded before anybody asked for it
_SPECULATIVE = (b"prefetch", b"prerender", b"preview")


@dataclass(slots=True)
class Sketch:
    """A request's fields, sorted.

    ``kept`` are the lines that pass whoever asks; ``cookies`` the Cookie fields and ``authorization`` the
    values of Authorization. ``dropped`` are the lower-case names that the client's Connection fields list
    (R58). ``mode`` is Sec-Fetch-Mode, lower case; where it comes several times, whichever is not
    ``navigate``. ``xhr`` tells that X-Requested-With says so, ``websocket`` that a WebSocket is asked for,
    ``speculative`` that nobody may ever look at the answer (a prefetch).
    ``vouched`` are the fields that pass where a trusted proxy sent them, ``loop`` the values of CDN-Loop.
    """

    kept: list[bytes]
    cookies: list[Header]
    authorization: list[bytes]
    dropped: frozenset[bytes] = frozenset()
    accept: bytes = b""
    mode: bytes | None = None
    xhr: bool = False
    websocket: bool = False
    speculative: bool = False
    vouched: tuple[Header, ...] = ()
    loop: tuple[bytes, ...] = ()

    @property
    def scripted(self) -> bool:
        """Whether a script says that it calls."""
        return self.xhr if self.mode is None else self.mode != b"navigate"

    @property
    def wants_html(self) -> bool:
        """Whether a person's browser navigates here, rather than a script or an API client calling."""
        return b"text/html" in self.accept and not self.scripted


_PREFERENCES = {
    b"accept": fields.ACCEPT,
    b"sec-fetch-mode": fields.FETCH_MODE,
    b"x-requested-with": fields.REQUESTED_WITH,
}


def line_of(header: Header) -> bytes:
    """Return a field as a line."""
    return b"%b: %b\r\n" % header


def header_of(line: bytes) -> Header:
    """Return the field of such a line, without its CRLF."""
    name, _, value = line.partition(b": ")
    return (name, value)


def draw(request: Request, names: NameKinds) -> Sketch:
    """Sort the fields of a request by what happens to them.

    A line break or NUL in a value, which no parsed head has, drops its field.
    """
    pattern, match = request.pattern, request.match
    if pattern is not None and match is not None and pattern.names is names:
        return pattern.sketch(match)
    is_parsed = request.fields is not None
    all_fields = request.fields or tuple(Field(*header) for header in request.headers)
    kept: list[bytes] = []
    sketch = Sketch(kept, [], [])
    kinds, options = names.kinds, list[bytes]()
    for field in all_fields:
        kind = kinds.get(field.name)
        if kind is None:
            kind = names.learn(field.name)
        if kind == fields.PASS:
            kept.append(field.line)
        elif kind not in _UNREAD:
            _note(sketch, kind, field, options)
    if options:
        sketch.dropped = named_in(options) - {b"content-length"}
        sketch.kept = [line for line in kept if line.partition(b":")[0].lower() not in sketch.dropped]
    if not is_parsed:
        sketch.kept = [line for line in sketch.kept if _is_one_line(line)]
        sketch.cookies = [header for header in sketch.cookies if _is_one_line(line_of(header))]
    return sketch


def _note(sketch: Sketch, kind: fields.Kind, field: Field, options: list[bytes]) -> None:
    value = field.value
    if kind == fields.COOKIE:
        sketch.cookies.append((field.name, value))
    elif kind == fields.AUTHORIZATION:
        sketch.authorization.append(value)
    elif kind == fields.LOOP:
        sketch.loop = (*sketch.loop, value)
    elif kind == fields.VOUCHED:
        sketch.vouched = (*sketch.vouched, (field.name, value))
    elif kind == fields.CONNECTION:
        if value.lower() not in _HARMLESS_OPTIONS:
            options.append(value)
    elif kind == fields.UPGRADE:
        # whatever else it offers, and however it is listed: the data plane decides whether it becomes one
        sketch.websocket = sketch.websocket or b"websocket" in value.lower()
    else:
        sketch.kept.append(field.line)
        if kind == fields.ACCEPT:
            sketch.accept = value.lower()
        elif kind == fields.REQUESTED_WITH:
            # WebViews of Android send the name of their application with each navigation
            sketch.xhr = sketch.xhr or value.lower() == b"xmlhttprequest"
        elif kind == fields.PURPOSE:
            sketch.speculative = sketch.speculative or any(word in value.lower() for word in _SPECULATIVE)
        elif kind == fields.FETCH_MODE and (sketch.mode is None or sketch.mode == b"navigate"):
            sketch.mode = value.lower()


def asks_for_page(data: bytes) -> bool:
    """Tell whether a person's browser navigates by such a head, which need not be a whole or a good one."""
    sketch = Sketch([], [], [])
    for line in data.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        kind = _PREFERENCES.get(name.strip().lower())
        if kind is not None:
            _note(sketch, kind, Field(name, value.strip()), [])
    return sketch.wants_html


def _is_one_line(line: bytes) -> bool:
    return line.count(b"\n") == line.count(b"\r") == 1 and b"\0" not in line
