"""Chained events as lines of a file: the event's own members, and beside them the links of the chain."""

import json
from collections.abc import Mapping
from typing import Final

from gateway.core.audit.chain import Chain, Entry, Keys, canonical, commit, encode_mark, split
from gateway.syntax.encoding import Json, parse_object

LINKS: Final = ("chain", "seq", "prev", "mac", "salt", "digest", "forgotten")
"""Members that are the chain's, and no event's."""
MOST_LINE: Final = 65_536


def link(chain: Chain, members: Mapping[str, Json], salt: str) -> str:
    """Return an event's line, and let the chain grow by it."""
    own = {name: value for name, value in members.items() if name not in LINKS}
    entry = chain.add(*split(own, salt))
    links = {"chain": entry.chain, "seq": entry.seq, "prev": entry.prev, "mac": entry.mac, "salt": salt}
    return json.dumps({**own, **links}, separators=(",", ":"))


def read_line(line: bytes) -> tuple[Entry, str | None, str] | None:
    """Return a line's entry, its personal part and its mark; None for what is no chained event.

    The personal part is None where it was forgotten, which the mark tells.
    """
    members = parse_object(line, MOST_LINE)
    if members is None:
        return None
    own = {name: value for name, value in members.items() if name not in LINKS}
    chain, seq, prev, mac, salt, digest, mark = (members.get(name) for name in LINKS)
    if not isinstance(chain, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        return None
    if not isinstance(prev, str) or not isinstance(mac, str):
        return None
    if isinstance(mark, str) and isinstance(digest, str):
        # whatever is there beside is not covered by the digest, and so it must be public
        return Entry(chain, seq, prev, mac, canonical(own), digest), None, mark
    public, personal = split(own, salt if isinstance(salt, str) else "")
    return Entry(chain, seq, prev, mac, public, commit(personal)), personal, ""


def forget(keys: Keys, line: bytes) -> bytes:
    """Return a line without what is personal; the mark says that it was there. Other lines stay."""
    found = read_line(line)
    if found is None or found[1] is None:
        return line
    entry = found[0]
    public = parse_object(entry.public.encode(), MOST_LINE) or {}
    told = {
        **public,
        "chain": entry.chain,
        "seq": entry.seq,
        "prev": entry.prev,
        "mac": entry.mac,
        "digest": entry.commitment,
        "forgotten": encode_mark(keys, entry),
    }
    return json.dumps(told, separators=(",", ":")).encode()
