"""What a process tells of itself to operators, beside its figures."""

from math import inf
from typing import Final

from gateway.app.parts import Parts
from gateway.edge.admin.console.backing import MOST_LINES
from gateway.supervision import native
from gateway.syntax.encoding import Json

_MOST_SERVERS: Final = 50


def describe(parts: Parts) -> dict[str, Json]:
    """Return it as a JSON object: nothing in it is a secret, and all of it is bounded."""
    providers: dict[str, Json] = {}
    for name, stats in parts.providers.stats().items():
        trouble, at = stats.last_trouble or (None, None)
        providers[name] = {
            "up": stats.up,
            "keys": stats.keys,
            "left_out": stats.keys_left_out,
            "age": stats.jwks_age,
            "trouble": trouble,
            "trouble_at": at,
        }
    upstreams: dict[str, Json] = {
        name: [each.partition("://")[2] or each for each in about.servers[:_MOST_SERVERS]]
        for name, about in list(parts.settings.upstreams.items())[:_MOST_SERVERS]
    }
    certificates = parts.server.certificates
    ends: dict[str, Json] = {} if certificates is None else {**certificates.overdue(inf)}
    lines: list[Json] = [*parts.logs.recent]
    return {
        "modules": "compiled" if native.is_compiled(None) else "interpreted",
        "store": parts.store.trouble,
        "store_kind": "embedded" if parts.settings.redis is None else "redis",
        "mode": parts.settings.session.mode,
        "providers": providers,
        "certificates": ends,
        "upstreams": upstreams,
        "lines": lines[-MOST_LINES:],
    }
