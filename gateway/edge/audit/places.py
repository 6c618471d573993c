"""Where the audit trail is in the store, what its keys are, and how entries are named in its index."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

from gateway.core.audit.chain import LABEL, Keys
from gateway.core.sessions.seal import KeyRing
from gateway.edge.store.store import Store
from gateway.syntax.encoding import Json

SEAL: Final = "audit entry"
"""The purpose under which personal parts are sealed."""
PLACE: Final = re.compile(r"(?P<ms>[0-9]{1,13})-(?P<n>[0-9]{1,8})")
_NAME_CHARS: Final = 24


class Places:
    """The keys of the trail."""

    __slots__ = ("by", "files", "firsts", "heads", "log", "who")

    def __init__(self, store: Store) -> None:
        self.log, self.who, self.by, self.heads, self.firsts, self.files = (
            store.key("{audit}", name) for name in ("log", "who", "by", "heads", "firsts", "files")
        )


def keys_of(ring: KeyRing) -> Keys:
    """Return the keys of chains, by names that tell nobody anything; the newest first."""
    return Keys(dict(zip(ring.pseudonyms(LABEL), ring.seeds(LABEL), strict=True)))


def names_of(members: Mapping[str, Json], seed: bytes) -> str:
    """Return by which names an event is in the index: whose it is, and of which session."""
    kind, value = members.get("kind"), members.get("value")
    revoked = {"sub": "subject", "session": "session"}.get(kind) if isinstance(kind, str) else None
    told = [(name, members.get(name)) for name in ("subject", "session")]
    if revoked is not None:
        told.append((revoked, value))
    if "owner" in members:
        told.append(("subject", members["owner"]))
    names = [index_name(seed, name, value) for name, value in told if isinstance(value, str)]
    return " ".join(dict.fromkeys(names))


def index_name(seed: bytes, kind: str, value: str) -> str:
    """Return the name of a subject or session in the index: it tells nobody anything without the key."""
    text = f"{kind}\x00{value}".encode("utf-8", "surrogatepass")
    return hmac.new(seed, b"index\x00" + text, hashlib.sha256).hexdigest()[:_NAME_CHARS]


def member(name: str, place: str) -> str:
    """Return how a name and a place stand in the index; of one length, so that they are in order."""
    found = PLACE.fullmatch(place)
    assert found is not None
    return f"{name}:{int(found['ms']):013d}-{int(found['n']):08d}"
