"""A saved curl command, as browsers copy one, taken apart: nothing is run, and no file is read."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_ESCAPES: Final = dict(zip("ntrabeEfv", "\n\t\r\a\b\x1b\x1b\f\v", strict=True))
_CODES: Final = re.compile(r"x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})")
_SHELL: Final = frozenset("|;&<>()`")

# by what an option does to the request; what is not named here is refused by name
_LETTERS: Final = """
    X request H header A user-agent e referer b cookie u user d data F form T upload-file G get I head
    k insecure s silent S show-error v verbose i include L location f fail g globoff N no-buffer o output
    O remote-name m max-time w write-out x proxy c cookie-jar 4 ipv4 6 ipv6 D dump-header E cert 0 http1.0
    # progress-bar q disable r range
"""
_WITH_VALUES: Final = """
    request header user-agent referer cookie user data data-raw data-binary data-ascii data-urlencode json
    form form-string upload-file output max-time write-out proxy cookie-jar url oauth2-bearer
    connect-timeout resolve connect-to cacert capath cert key pass cert-type key-type ciphers tls-max retry
    retry-delay retry-max-time interface dump-header max-redirs limit-rate noproxy proxy-user proxy-header
    range
"""
_ALONE: Final = """
    get head insecure silent show-error verbose include location fail fail-with-body globoff no-buffer
    remote-name ipv4 ipv6 compressed http1.0 http1.1 http2 http2-prior-knowledge http3 progress-bar path-as-is
    no-keepalive tlsv1.2 tlsv1.3 ssl-no-revoke disable no-progress-meter
"""
_SHORT: Final = dict(zip(_LETTERS.split()[::2], _LETTERS.split()[1::2], strict=True))
_TAKE: Final = frozenset(_WITH_VALUES.split())
_FLAGS: Final = frozenset(_ALONE.split())
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Command:
    """What a command asks for. ``fields`` are header fields, each ``Name: value``."""

    url: str = ""
    method: str = ""
    fields: list[str] = field(default_factory=list, repr=False)
    _default: str = "GET"
    _data: list[str] = field(default_factory=list, repr=False)
    _removed: set[str] = field(default_factory=set)
    _is_query: bool = False

    def take(self, name: str, value: str) -> None:
        """Do what an option says. Raises ValueError, whose text is safe to show."""
        made = {
            "user-agent": "User-Agent",
            "referer": "Referer",
            "cookie": "Cookie",
            "range": "Range",
        }
        if name == "request":
            self.method = value
        elif name == "url":
            self.go_to(value)
        elif name == "header":
            self._header(value)
        elif name in made:
            if name == "cookie" and "=" not in value:
                raise ValueError("its --cookie names a file, which is not read: write 'name=value'")
            self.fields.append(f"{made[name]}: {value}")
        elif name == "user":
            token = base64.b64encode(value.encode("utf-8", "replace")).decode()
            self.fields.append(f"Authorization: Basic {token}")
        elif name == "oauth2-bearer":
            self.fields.append(f"Authorization: Bearer {value}")
        elif name == "compressed":
            self.fields.append("Accept-Encoding: deflate, gzip, br, zstd")
        else:
            self._content(name, value)

    def go_to(self, url: str) -> None:
        """Take the URL. Raises ValueError: there is one already."""
        if self.url:
            raise ValueError("it has several URLs: explain one of them")
        self.url = url if "://" in url or url.startswith("/") else f"http://{url}"

    def _header(self, value: str) -> None:
        name, colon, rest = value.partition(":")
        if value.startswith("@"):
            raise ValueError("its --header names a file, which is not read")
        if colon and not name:
            # a pseudo-header field of HTTP/2, as some browsers copy them
            return
        if colon and not rest.strip():
            self._removed.add(name.strip().lower())
        elif not colon and value.endswith(";"):
            self.fields.append(f"{value[:-1]}: ")
        else:
            self.fields.append(value)

    def _content(self, name: str, value: str) -> None:
        if name == "get":
            self._is_query = True
        elif name == "head":
            self._default = "HEAD"
        elif name == "upload-file":
            self._default = "PUT"
        elif name in ("form", "form-string"):
            self._default = "POST"
            self._preset("Content-Type", "multipart/form-data; boundary=explain")
        elif name == "json" or name.startswith("data"):
            if value.startswith("@") and name != "data-raw":
                raise ValueError(f"its --{name} names a file, which is not read: leave the content out")
            self._default = "POST"
            self._data.append(value)
            if name == "json":
                self._preset("Content-Type", "application/json")
                self._preset("Accept", "application/json")

    def _has(self, name: str) -> bool:
        lower = name.lower()
        return lower in self._removed or any(
            each.partition(":")[0].strip().lower() == lower for each in self.fields
        )

    def _preset(self, name: str, value: str) -> None:
        if not self._has(name):
            self.fields.append(f"{name}: {value}")

    def finish(self) -> "Command":
        """Add what curl sends by itself. Raises ValueError: it has no URL."""
        if not self.url:
            raise ValueError("it has no URL")
        content = "&".join(self._data)
        if self._is_query:
            self._default = "HEAD" if self._default == "HEAD" else "GET"
            if content:
                self.url += ("&" if "?" in self.url else "?") + content
        elif self._data:
            self._preset("Content-Type", _FORM)
            self._preset("Content-Length", str(len(content.encode("utf-8", "replace"))))
        self._preset("User-Agent", "curl")
        self._preset("Accept", "*/*")
        self.method = self.method or self._default
        return self


def read_command(text: str) -> Command:
    """Take a curl command apart.

    Raises:
        ValueError: it is none, or has what cannot be told without running it; the text is safe to show.
    """
    words = list(_words(text.strip()))
    if not words or words[0].rpartition("/")[2] not in ("curl", "curl.exe"):
        raise ValueError("this is no curl command: copy the request as cURL (bash)")
    command, rest = Command(), iter(words[1:])
    for word in rest:
        if word.startswith("--") and len(word) > 2:
            _long(command, word[2:], rest)
        elif word.startswith("-") and len(word) > 1:
            _short(command, word[1:], rest)
        else:
            command.go_to(word)
    return command.finish()


def _long(command: Command, name: str, rest: Iterator[str]) -> None:
    if name in _TAKE:
        command.take(name, _next(rest, name))
    elif name in _FLAGS:
        command.take(name, "")
    else:
        shown = name if len(name) < 40 and name.isascii() and name.isprintable() else "..."
        raise ValueError(f"what its option --{shown} does is not known here: leave it out")


def _short(command: Command, letters: str, rest: Iterator[str]) -> None:
    """Take letters that stand together; the rest of a word belongs to the first that takes a value."""
    while letters:
        letter, letters = letters[0], letters[1:]
        name = _SHORT.get(letter)
        if name is None:
            raise ValueError(
                f"what its option -{letter if letter.isalnum() else '?'} does is not known here: leave it out"
            )
        if name in _TAKE:
            command.take(name, letters or _next(rest, name))
            return
        command.take(name, "")


def _next(rest: Iterator[str], name: str) -> str:
    value = next(rest, None)
    if value is None:
        raise ValueError(f"its option --{name} has no value")
    return value


def _words(text: str) -> Iterator[str]:
    """Yield the words of a command as a POSIX shell, and bash's ``$'...'``, would; nothing is expanded."""
    place, word = 0, None
    while place < len(text):
        sign = text[place]
        if sign in " \t\r\n":
            if word is not None:
                yield word
            word, place = None, place + 1
            continue
        if text.startswith("\\\n", place) or text.startswith("\\\r\n", place):
            place = text.index("\n", place) + 1
            continue
        part, place = _part(text, place)
        word = part if word is None else word + part
    if word is not None:
        yield word


def _part(text: str, place: int) -> tuple[str, int]:
    """Return what begins at a place, unquoted, and the place behind it."""
    sign = text[place]
    if text.startswith("$'", place):
        return _ansi(text, place + 2)
    if sign == "'":
        end = _end(text, "'", place + 1)
        return text[place + 1 : end], end + 1
    if sign == '"':
        return _double(text, place + 1)
    if sign == "\\":
        return text[place + 1 : place + 2], place + 2
    if sign == "^":
        raise ValueError("this is for the Windows command line: copy the request as cURL (bash)")
    if sign in _SHELL or sign == "$":
        raise ValueError("it has more than a command: pipes, variables and substitutions are not run here")
    return sign, place + 1


def _end(text: str, sign: str, place: int) -> int:
    end = text.find(sign, place)
    if end < 0:
        raise ValueError("a quotation in it does not end")
    return end


def _double(text: str, place: int) -> tuple[str, int]:
    found: list[str] = []
    while place < len(text):
        sign = text[place]
        if sign == '"':
            return "".join(found), place + 1
        if sign in "$`":
            raise ValueError("it has variables or substitutions, which are not run here")
        if sign == "\\" and text[place + 1 : place + 2] in ("\\", '"', "$", "`", "\n"):
            place += 1
            sign = "" if text[place] == "\n" else text[place]
        found.append(sign)
        place += 1
    raise ValueError("a quotation in it does not end")


def _ansi(text: str, place: int) -> tuple[str, int]:
    found: list[str] = []
    while place < len(text):
        sign = text[place]
        if sign == "'":
            return "".join(found), place + 1
        place += 1
        if sign == "\\":
            code = _CODES.match(text, place)
            if code is not None:
                digits = code[1] or code[2] or code[3]
                number = int(digits, 16) if digits else int(code[4], 8)
                sign, place = chr(number) if number <= 0x10FFFF else "?", code.end()
            else:
                sign = _ESCAPES.get(text[place : place + 1], text[place : place + 1])
                place += 1
        found.append(sign)
    raise ValueError("a quotation in it does not end")
