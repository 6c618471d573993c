"""Values on their way into a log line: bounded, escaped, and without anything that opens a door."""

import os
import re
from collections import deque
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from pydantic import SecretBytes, SecretStr

from gateway.core.fault import Fault

MOST_VALUE: Final = 512
MOST_FIELDS: Final = 32
_PACKAGE: Final = str(Path(__file__).resolve().parent.parent.parent) + os.sep
_COMPILED: Final = "gateway" + os.sep
_MOST_DEPTH: Final = 3
_MOST_FRAMES: Final = 12
_MOST_CAUSES: Final = 4
_CUT: Final = "[cut]"
_REDACTED: Final = "[redacted]"

_SECRET_KEY: Final = re.compile(
    r"token|secret|cookie|authorization|passw|credential|verifier|assertion|jwt|private|nonce|code\b|\bauth\b",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(
    r"(?P<jwt>(?-i:eyJ)[A-Za-z0-9_\-.+/=]*)"
    # of an API key the id is no secret
    r"|(?P<key>gwk_[a-z2-7]{16}_)[A-Za-z0-9_-]*"
    r"|(?P<scheme>\b(?:Bearer|Basic|DPoP)\s+)[^\s\"',;]+"
    r"|(?P<userinfo>://)[^\s/@?#]*@"
    # also inside a value that is encoded, once or more, and as a member of a JSON text
    r"|(?P<field>(?:(?<![A-Za-z0-9_])|(?<=%[0-9A-F]{2})|(?<=25[0-9A-F]{2}))"
    r"(?:(?:code|state|nonce|ticket|password|client_secret|client_assertion|code_verifier"
    r"|(?:[a-z_]*_)?token(?:_hint)?|(?:[a-z]{1,4})?sess(?:ion)?_?id"
    # cookies of ours, and any that browsers guard
    r"|(?:__(?:Host|Secure)-|gateway-\d{1,5}-)[\w-]{0,64})(?:=|%(?:25)*3D)"
    r"|(?:client_secret|password|(?:[a-z_]*_)?token)\\?\"\s{0,4}:\s{0,4}\\?\"))"
    r"(?:(?!%(?:25)*26)[^\s&\"';])+",
    re.IGNORECASE,
)
_TELLTALE: Final = re.compile(r"eyJ|gwk_|bearer|basic|dpop|@|=|%(?:25)*3D|\"\s{0,4}:", re.IGNORECASE)


def _mask(match: "re.Match[str]") -> str:
    if match["jwt"]:
        return "[jwt]"
    if match["userinfo"]:
        return f"://{_REDACTED}@"
    return f"{match['key'] or match['scheme'] or match['field']}{_REDACTED}"


def clean_text(text: str, most: int = MOST_VALUE) -> str:
    """Return a text without anything that looks like a credential, cut to ``most`` characters."""
    # cut first, generously: what a pattern masks may be long, and searching must stay bounded
    cut = text[: 4 * most]
    if _TELLTALE.search(cut) is not None:
        cut = _SECRET_VALUE.sub(_mask, cut)
    if len(cut) > most or len(text) > 4 * most:
        return cut[:most] + _CUT
    return cut


def encode(value: object, depth: int = 0) -> str:
    """Return a value as JSON: texts cleaned, secrets and unknown kinds by name only, all of it bounded."""
    if isinstance(value, str):
        return _quoted(clean_text(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value) if -(2**63) <= value < 2**63 else '"[large]"'
    if isinstance(value, float):
        return repr(value) if isfinite(value) else f'"{value}"'
    if isinstance(value, BaseException):
        return _encode_error(value)
    if isinstance(value, SecretStr | SecretBytes):
        return quote(_REDACTED)
    if depth < _MOST_DEPTH and isinstance(value, Mapping):
        return encode_members(value, depth + 1)
    if depth < _MOST_DEPTH and isinstance(value, list | tuple | set | frozenset):
        items = list(value)[:MOST_FIELDS]
        return "[" + ",".join(encode(each, depth + 1) for each in items) + "]"
    # never str() or repr() of a foreign object: nobody knows what it tells
    return quote(f"[{type(value).__name__}]")


def _quoted(text: str) -> str:
    told = quote(text)
    if "\\ud" not in told:
        return told
    # lone surrogates are no text, and whoever reads the line strictly would refuse all of it
    return quote(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def encode_member(name: str, value: object, depth: int = 0) -> str:
    """Return ``"name":value``; what is named like a secret is never shown."""
    shown = quote(_REDACTED) if _SECRET_KEY.search(name) and not _is_harmless(value) else encode(value, depth)
    return f"{quote(name[:64])}:{shown}"


def _is_harmless(value: object) -> bool:
    # counts, flags and durations of tokens are no tokens
    return value is None or isinstance(value, bool | int | float)


def encode_members(fields: Mapping[Any, object], depth: int) -> str:
    """Return a mapping as a JSON object; what is beyond ``MOST_FIELDS`` is left out."""
    pairs = [
        encode_member(name if isinstance(name, str) else type(name).__name__, value, depth)
        for name, value in list(fields.items())[:MOST_FIELDS]
    ]
    return "{" + ",".join(pairs) + "}"


def _encode_error(error: BaseException) -> str:
    """Return an exception by its type, our own frames and its causes; never a foreign library's text."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None and len(chain) < _MOST_CAUSES:
        members = [f'"type":{quote(type(current).__name__)}']
        if isinstance(current, Fault):
            members += [
                encode_member("source", current.source),
                encode_member("reason", current.reason),
                encode_member("detail", current.detail),
            ]
        members.append(f'"frames":{encode(_own_frames(current.__traceback__), _MOST_DEPTH - 1)}')
        chain.append("{" + ",".join(members) + "}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "[" + ",".join(chain) + "]" if len(chain) > 1 else chain[0]


def _own_frames(traceback: TracebackType | None) -> list[str]:
    frames: deque[str] = deque(maxlen=_MOST_FRAMES)
    while traceback is not None:
        code = traceback.tb_frame.f_code
        # compiled modules tell of themselves by relative names
        where = code.co_filename.removeprefix(_PACKAGE).removeprefix(_COMPILED)
        if where != code.co_filename:
            frames.append(f"gateway/{where}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return list(frames)
