"""Checks of the admin listener and its tokens."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.admin import UNNAMED
from gateway.config.settings.root import Settings
from gateway.syntax import urls
from gateway.syntax.dates import read_date

MOST_NAME: Final = 64
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# names stand in logs and on pages: nothing that looks like another name, or moves a cursor
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@-]{{0,{MOST_NAME - 1}}}")
# a random token of 128 bits has 22 characters of base64, and hardly ever so few different ones
_FEW_CHARACTERS: Final = 22
_FEW_KINDS: Final = 10


def check_admin(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the admin listener's names and tokens."""
    for index, name in enumerate(settings.admin.hosts):
        if _HOST_NAME.fullmatch(name) is None:
            yield Problem(("admin", "hosts", index), "write a host name alone, without scheme or port")
    seen: dict[str, str] = {}
    for at, name, token in _tokens(settings):
        if not urls.is_bearer(token):
            yield Problem(
                at,
                "at least 16 characters of A-Z a-z 0-9 . _ ~ + / - (gateway keys generate prints a good one)",
            )
        elif token in seen:
            yield Problem(at, f"the same token as {seen[token]}: nobody could tell who acts")
        seen.setdefault(token, "admin.token" if name == UNNAMED else "another one of admin.tokens")
    for name, each in settings.admin.tokens.items():
        if name == UNNAMED or _NAME.fullmatch(name) is None:
            yield Problem(
                ("admin", "tokens", name),
                f"a name has 1 to {MOST_NAME} of A-Z a-z 0-9 . _ @ -, and is not {UNNAMED}",
            )
        if each.expires is not None and read_date(each.expires) is None:
            yield Problem(("admin", "tokens", name, "expires"), "write 2027-06-30, or 2027-06-30T12:00:00Z")


def warn_admin(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of the admin listener and hardly meant."""
    address = urls.parse_listen(settings.admin.listen)
    if address is not None and not urls.is_loopback(address[0]) and not any(settings.admin.named()):
        yield Problem(
            ("admin", "listen"),
            "other machines can read the metrics here, and without admin.token nobody can revoke anything",
        )
    for at, _, token in _tokens(settings):
        if len(token) < _FEW_CHARACTERS or len(set(token)) < _FEW_KINDS:
            yield Problem(at, "this token can be guessed: gateway keys generate prints a good one")


def _tokens(settings: Settings) -> Iterator[tuple[Path, str, str]]:
    for name, each in settings.admin.named():
        at: Path = ("admin", "token") if name == UNNAMED else ("admin", "tokens", name, "token")
        yield at, name, each.token.get_secret_value()
