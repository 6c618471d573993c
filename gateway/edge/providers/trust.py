"""TLS towards one provider: who it must be, and who we are there, by files that may be renewed."""

import os
import ssl
from typing import Final, TypeAlias

from gateway.config.settings.providers import ProviderSettings
from gateway.core.fault import NeverSent
from gateway.core.reasons import Reason
from gateway.http.client_tls import client_context

_Seen: TypeAlias = tuple[tuple[int, int, int], ...]

_AS_ABSENT: Final = (0, 0, 0)


class Trust:
    """The TLS context of the calls to a provider, made anew where one of its files has changed.

    One that cannot be read then leaves the former in use: a renewal in the middle of its two files is no
    reason to fail, and the next call looks again.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        named = (settings.ca_file, settings.client_certificate, settings.client_key)
        self._files = tuple(name for name in named if name is not None)
        self._context: ssl.SSLContext | None = None
        self._seen: _Seen = ()

    def context(self) -> ssl.SSLContext:
        """Return the context of now.

        Raises:
            NeverSent: a file cannot be used, and none could before.
        """
        seen = tuple(map(_look, self._files))
        if self._context is not None and seen == self._seen:
            return self._context
        settings = self._settings
        try:
            made = client_context(settings.ca_file, settings.client_certificate, settings.client_key)
        except OSError as error:
            if self._context is not None:
                return self._context
            raise NeverSent("issuer", Reason.ISSUER_MISCONFIGURED, self._explain(error)) from error
        self._context, self._seen = made, seen
        return made

    def _explain(self, error: OSError) -> str:
        why = error.strerror or "no certificates"
        files = " or ".join(map(repr, self._files))
        return f"{files or 'the certificates of the system'} cannot be used: {why}"


def _look(name: str) -> tuple[int, int, int]:
    try:
        found = os.stat(name)  # noqa: PTH116 - its numbers, and nothing of a path
    except OSError:
        return _AS_ABSENT
    return found.st_mtime_ns, found.st_ino, found.st_size
