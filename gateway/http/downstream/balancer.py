"""What balancers ask of the public listener: whether it serves, under whatever name they know it.

It is answered here and not decided: no rule, session or upstream is asked, and it stands in no access log.
What it tells is one word, so everybody may ask.
"""

from collections.abc import Callable
from typing import Final

from gateway.core.headers.request import Header, Request

_HEADERS: Final[tuple[Header, ...]] = (
    (b"Content-Type", b"text/plain; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_METHODS: Final = (b"GET", b"HEAD")


class BalancerAnswer:
    """The path that is asked, and what is said there.

    Args:
        path: of a GET or HEAD without a body; with any query.
        serves: tells whether requests should be sent here.
    """

    __slots__ = ("_path", "_serves")

    def __init__(self, path: bytes, serves: Callable[[], bool]) -> None:
        self._path = path
        self._serves = serves

    @property
    def hostless(self) -> frozenset[bytes]:
        """The paths that may be asked for in HTTP/1.0 without a Host."""
        return frozenset({self._path})

    def is_asked(self, request: Request, has_body: bool) -> bool:
        """Tell whether a request asks this."""
        target = request.target
        if not target.startswith(self._path) or has_body or request.method not in _METHODS:
            return False
        return target.partition(b"?")[0] == self._path

    def answer(self, *, draining: bool) -> tuple[int, list[Header], bytes]:
        """Return status, headers and content."""
        if draining or not self._serves():
            return 503, list(_HEADERS), b"unready\n"
        return 200, list(_HEADERS), b"ready\n"
