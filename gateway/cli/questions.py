"""The requests that ``gateway explain`` asks about: of a URL, a saved curl command, or an access-log line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from gateway.syntax.encoding import Json, parse_object
from gateway.syntax.tokens import is_token

MOST_SAVED: Final = 16 << 20
"""Bytes of a saved command or log."""
_MOST_LINE: Final = 1 << 20
_TOLD: Final = "time request_id route decision reason status issuer subject session key worker"
_LOGGED: Final = tuple(_TOLD.split())


@dataclass(frozen=True, slots=True)
class Question:
    """A request. ``client`` is who connects, empty for anybody; ``logged`` what a log line says of it."""

    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    client: str = ""
    logged: Mapping[str, Json] | None = None

    def to_json(self) -> dict[str, Json]:
        """Return it as the admin listener reads it."""
        told: dict[str, Json] = {
            "method": self.method,
            "target": self.target,
            "host": self.host,
            "headers": [list(each) for each in self.headers],
        }
        return told | ({"client": self.client} if self.client else {})


def question_of(
    url: str, method: str, fields: Sequence[str], default_host: str | None, client: str = ""
) -> Question:
    """Return the question about a URL.

    Args:
        url: absolute, or a path at ``default_host``; sent exactly as written.
        method: of the request.
        fields: its header fields, each ``Name: value``; ``Host`` among them does not replace the URL's.
        default_host: None where there is none.
        client: the address that connects, empty for anybody.

    Raises:
        ValueError: no URL, no method, no header field or no address; the text is safe to show.
    """
    if url.startswith("/"):
        if default_host is None:
            raise ValueError("URL is absolute where no configuration is read")
        host, target = default_host, url
    else:
        host, target = _split(url)
    # a fragment never leaves the browser
    target = target.partition("#")[0]
    is_plain = (host + target).isascii() and not any(sign <= " " or sign == "\x7f" for sign in host + target)
    if not host or not is_plain:
        raise ValueError("URL has a host and no white space; other than ASCII is percent-encoded")
    if not is_token(method):
        raise ValueError("--method is a token such as GET")
    return Question(method, target, host, tuple(map(_field, fields)), _client(client))


def _split(url: str) -> tuple[str, str]:
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        raise ValueError("URL is absolute, http:// or https://, or a path that begins with /")
    cut = min((at for sign in "/?#" if (at := rest.find(sign)) >= 0), default=len(rest))
    host, target = rest[:cut], rest[cut:]
    # RFC 9112 section 3.2.1: an empty path is sent as "/"
    return host, target if target.startswith("/") else f"/{target}"


def _field(field: str) -> tuple[str, str]:
    name, colon, value = field.partition(":")
    if not colon or not is_token(name) or any(sign in value for sign in "\r\n\0"):
        raise ValueError("--header is 'Name: value'")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("--header is 'Name: value', in UTF-8") from None
    return name, value.strip(" \t")


def _client(address: str) -> str:
    try:
        return str(ip_address(address)) if address else ""
    except ValueError:
        raise ValueError("--client is an IP address") from None


def question_of_line(text: str, request_id: str | None, fields: Sequence[str], client: str) -> Question:
    """Return the question about a request of the access log: its query and credentials are not in there.

    Args:
        text: one line of the log, or several with that of ``request_id`` among them.
        request_id: which one; None for the only one.
        fields: more header fields, each ``Name: value``.
        client: who connects, empty for whom the line names.

    Raises:
        ValueError: there is no such line; the text is safe to show.
    """
    found = [line for each in text.splitlines() if (line := _line(each)) is not None]
    if request_id is not None:
        found = [line for line in found if line.get("request_id") == request_id]
    if not found:
        raise ValueError("there is no access-log line (event: request) of this gateway in it, or of that id")
    if len(found) > 1:
        raise ValueError(f"there are {len(found)} access-log lines in it: choose one by --request-id")
    (line,) = found
    method, host, path = (_text(line, name) for name in ("method", "host", "path"))
    if not path.startswith("/"):
        raise ValueError("the access-log line names no path")
    headers = line.get("request_headers")
    logged = [f"{name}: {value}" for name, value in headers.items()] if isinstance(headers, dict) else []
    known = client or _text(line, "client")
    asked = question_of(f"http://{host}{path}", method, [*logged, *fields], None, _address(known))
    told = {name: line[name] for name in _LOGGED if name in line}
    return Question(asked.method, asked.target, asked.host, asked.headers, asked.client, told)


def _line(text: str) -> Mapping[str, Json] | None:
    # what writes lines elsewhere may put something before them
    start = text.find("{")
    if start < 0 or len(text) > _MOST_LINE:
        return None
    line = parse_object(text[start:].encode("utf-8", "surrogateescape"), _MOST_LINE)
    return line if line is not None and line.get("event") == "request" else None


def _text(line: Mapping[str, Json], name: str) -> str:
    value = line.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"the access-log line has no {name}")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        # as where a trusted proxy tells none
        return ""


def json_of(document: Mapping[str, Json]) -> str:
    """Return an account as JSON, for programs."""
    return json.dumps(document, indent=2)
