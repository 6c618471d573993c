"""Header fields: names as upstreams may read them, and lists with quoted strings (RFC 9110 section 5)."""

from collections.abc import Callable
from typing import Final, TypeAlias

from gateway.syntax.tokens import is_token

PASS: Final = 0
DROP: Final = 1
CONNECTION: Final = 2
COOKIE: Final = 3
AUTHORIZATION: Final = 4
SET_COOKIE: Final = 5
CACHE_CONTROL: Final = 6
SHARED_CACHE: Final = 7
# these three pass too, and the decision reads them
ACCEPT: Final = 8
FETCH_MODE: Final = 9
REQUESTED_WITH: Final = 10
# the data plane's, and read by the decision
UPGRADE: Final = 11
# what a trusted proxy tells in it is read, and told anew
FORWARDING: Final = 12
# these pass too, and the decision reads them
FETCH_SITE: Final = 13
ORIGIN: Final = 14
PURPOSE: Final = 15
# an identity of another product, which passes where a trusted proxy says it
VOUCHED: Final = 16
# read by the decision, and told with this pass added
LOOP: Final = 17

Kind: TypeAlias = int
"""One of the words above: what happens to a field."""

READ: Final = {
    b"accept": ACCEPT,
    b"sec-fetch-mode": FETCH_MODE,
    b"sec-fetch-site": FETCH_SITE,
    b"origin": ORIGIN,
    b"sec-purpose": PURPOSE,
    b"purpose": PURPOSE,
    b"x-purpose": PURPOSE,
    b"x-moz": PURPOSE,
    b"x-requested-with": REQUESTED_WITH,
    b"upgrade": UPGRADE,
}
"""The fields, by their lower-case names, that go on as clients send them and that decisions read."""

BINDING_SCHEME: Final = rb"(?i:ntlm|nego|kerberos|credssp)"
"""What the names of schemes begin with that authenticate a connection instead of a request (RFC 4559)."""

MOST_LEARNED = 4096
MOST_NAME = 128


_COMMON = (
    "Accept|Accept-Encoding|Accept-Language|Authorization|Cache-Control|Connection|Content-Encoding"
    "|Content-Length|Content-Type|Cookie|DNT|Date|ETag|Expires|Host|If-Modified-Since|If-None-Match"
    "|Last-Modified|Location|Origin|Pragma|Priority|Range|Referer|Sec-Fetch-Dest|Sec-Fetch-Mode"
    "|Sec-Fetch-Site|Sec-Fetch-User|Server|Set-Cookie|Strict-Transport-Security|Transfer-Encoding"
    "|Upgrade-Insecure-Requests|User-Agent|Vary|X-Content-Type-Options|X-Frame-Options|X-Requested-With"
    "|sec-ch-ua|sec-ch-ua-mobile|sec-ch-ua-platform"
)


class NameKinds:
    """What to do with a field, remembered under the exact bytes of its name.

    ``kinds`` is read directly; a name that is not there yet is learned. Chosen names cannot make it grow
    beyond its bound, nor push out the common ones. What is no token is dropped.
    """

    __slots__ = ("_classify", "_seed", "kinds")

    def __init__(self, classify: Callable[[bytes], Kind]) -> None:
        self._classify = classify
        names = {name.encode() for spelt in _COMMON.split("|") for name in (spelt, spelt.lower())}
        self._seed = {name: classify(name) for name in names}
        self.kinds: dict[bytes, Kind] = dict(self._seed)

    def learn(self, name: bytes) -> Kind:
        """Return the kind of a name; remember it if it is short."""
        kind = self._classify(name) if is_token(name) else DROP
        if len(name) <= MOST_NAME:
            if len(self.kinds) >= MOST_LEARNED:
                self.kinds.clear()
                self.kinds.update(self._seed)
            self.kinds[name] = kind
        return kind
