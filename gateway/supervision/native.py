"""Where the compiled form of this very source is: workers run it, if ``deploy/native.py`` has made it.

It is a copy of the package in which the modules on the way of every request are extension modules. It is
named by a digest of the source that it was made of, so that one of an older source is never run.
"""

import hashlib
import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import Final

HOT: Final = (
    "core/decide.py",
    "core/fault.py",
    "core/identity.py",
    "core/memo.py",
    "core/outcome.py",
    "core/runtime.py",
    "core/access/access.py",
    "core/access/bearer.py",
    "core/access/credentials.py",
    "core/access/generations.py",
    "core/access/possession.py",
    "core/access/session.py",
    "core/access/token_userinfo.py",
    "core/access/verification.py",
    "core/decision/answers.py",
    "core/decision/context.py",
    "core/decision/kept.py",
    "core/decision/places.py",
    "core/endpoints/asked.py",
    "core/headers/cookies.py",
    "core/headers/downstream.py",
    "core/headers/forwarded.py",
    "core/headers/identity.py",
    "core/headers/kinds.py",
    "core/headers/lines.py",
    "core/headers/originals.py",
    "core/headers/request.py",
    "core/headers/rules.py",
    "core/headers/upstream.py",
    "core/rules/denylist.py",
    "core/rules/due.py",
    "core/rules/places.py",
    "core/rules/routes.py",
    "core/sessions/codec.py",
    "core/sessions/cookies.py",
    "core/sessions/model.py",
    "core/sessions/payload.py",
    "core/sessions/renewal.py",
    "core/sessions/seal.py",
    "core/tokens/access_token.py",
    "core/tokens/binding.py",
    "core/tokens/claims.py",
    "core/tokens/jws.py",
    "core/tokens/keys.py",
    "edge/telemetry/log_values.py",
    "edge/telemetry/log_writer.py",
    "edge/telemetry/logs.py",
    "edge/telemetry/metrics.py",
    "edge/telemetry/recorder.py",
    "http/ports.py",
    "http/roles.py",
    "http/server.py",
    "http/states.py",
    "http/tunnel.py",
    "http/downstream/connection.py",
    "http/downstream/exchange.py",
    "http/downstream/reader.py",
    "http/downstream/request.py",
    "http/downstream/request_body.py",
    "http/downstream/roles.py",
    "http/downstream/tls_listener.py",
    "http/downstream/transport.py",
    "http/downstream/writer.py",
    "http/messages/chunked.py",
    "http/messages/fields.py",
    "http/messages/mending.py",
    "http/messages/request_head.py",
    "http/messages/response_head.py",
    "http/messages/serialise.py",
    "http/upstream/balance.py",
    "http/upstream/connection.py",
    "http/upstream/line.py",
    "http/upstream/origin.py",
    "http/upstream/pool.py",
    "http/upstream/request.py",
    "http/upstream/rotation.py",
    "http/upstream/shares.py",
    "http/upstream/transport.py",
    "pipeline/pipeline.py",
    "pipeline/transaction.py",
    "syntax/encoding.py",
    "syntax/targets.py",
    "syntax/tokens.py",
)
"""The modules on the way of every request, in the package."""

PACKAGE: Final = Path(__file__).parents[1]
"""The running package."""


def digest(package: Path = PACKAGE) -> str:
    """Return the name of this source, for this interpreter, as 24 hexadecimal digits."""
    told = hashlib.sha256(f"{sys.implementation.cache_tag} {sysconfig.get_platform()}".encode())
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        told.update(f"\0{file.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        told.update(content)
    return told.hexdigest()[:24]


def place_of(package: Path = PACKAGE) -> Path:
    """Return the folder of compiled forms that belongs to a checkout; it need not be there."""
    return package.parent / "build" / "native"


def find(package: Path = PACKAGE) -> Path | None:
    """Return the folder to import the compiled form from, None where there is none of this source."""
    place = place_of(package)
    if not place.is_dir():
        return None
    found = place / digest(package)
    return found if (found / package.name).is_dir() else None


def is_compiled(found: Path | None) -> bool:
    """Tell whether workers run compiled modules: those that were found, or ones that are installed."""
    spec = importlib.util.find_spec("gateway.core.memo")
    return found is not None or (spec is not None and not str(spec.origin).endswith(".py"))
