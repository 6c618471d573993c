"""TLS towards upstreams: verified unless the configuration says otherwise, with our certificate if asked."""

import contextlib
import os
import ssl
from typing import TypeAlias

from gateway.config.settings.upstreams import UpstreamTlsSettings
from gateway.http import client_tls

Version: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"


def client_context(settings: UpstreamTlsSettings) -> ssl.SSLContext:
    """Return what connections to an upstream's https servers are made with; TLS 1.2 at least.

    Raises:
        OSError: a file cannot be read, or is not what it should be (an SSLError is an OSError).
    """
    context = client_tls.client_context(
        settings.ca_file, settings.client_certificate, settings.client_key, verify=settings.verify
    )
    context.set_alpn_protocols(["http/1.1"])
    return context


def version_of(settings: UpstreamTlsSettings) -> Version:
    """Return what tells one state of the named files from another: inode, size and time of each."""
    found: list[tuple[int, int, int] | None] = []
    for name in (settings.ca_file, settings.client_certificate, settings.client_key):
        state = None
        if name is not None:
            with contextlib.suppress(OSError):
                told = os.stat(name)  # noqa: PTH116 - as many bytes as the other names of it
                state = (told.st_ino, told.st_size, told.st_mtime_ns)
        found.append(state)
    return tuple(found)
