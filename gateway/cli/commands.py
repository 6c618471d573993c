"""The commands that work on a configuration or on nothing: run, schema, keys, demo.

Each takes the parsed options and returns the exit code; raises CommandError. Heavy imports stand inside, so
that each pays only for what it uses.
"""

import argparse
import gc
import os
from typing import TYPE_CHECKING

from gateway.cli.configuration import load_configuration, warn
from gateway.cli.terminal import CommandError, complain, say

if TYPE_CHECKING:
    from gateway.edge.configfile.load import Loaded


def _protect() -> None:
    """See to what must hold before anything is served."""
    from gateway.core.fault import Fault  # noqa: PLC0415 - only what serves needs it
    from gateway.edge.process import protect  # noqa: PLC0415 - the same

    try:
        warning = protect()
    except Fault as fault:
        raise CommandError(f"gateway: cannot start: {fault.detail}") from None
    if warning is not None:
        complain(f"gateway: {warning} (warning)")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    _protect()
    # modules are no garbage: collecting while they are loaded finds nothing; the supervisor goes on with it
    gc.disable()
    try:
        return _serve(options)
    finally:
        gc.enable()


def _serve(options: argparse.Namespace) -> int:
    path, loaded = load_configuration(options)
    warn(path, loaded)
    from gateway.core.fault import Fault  # noqa: PLC0415 - the same
    from gateway.edge.configfile.load import load  # noqa: PLC0415 - the same
    from gateway.supervision.supervisor import run  # noqa: PLC0415 - the same

    try:
        return run(loaded.settings, lambda: load(path))
    except Fault as error:
        raise CommandError(f"gateway: cannot start: {error.detail or error.reason}") from None
    except OSError as error:
        raise CommandError(f"gateway: cannot start: {why_not_started(error, loaded)}") from None
    except RuntimeError as error:
        raise CommandError(f"gateway: cannot start: {error}") from None


def why_not_started(error: OSError, loaded: "Loaded") -> str:
    """Return why an address or a file kept the gateway from starting, and what to do."""
    import errno  # noqa: PLC0415 - only a failed start needs it

    both = f"listen ({loaded.settings.listen}) or admin.listen ({loaded.settings.admin.listen})"
    listen = next(iter(getattr(error, "__notes__", ())), both)
    if error.errno == errno.EADDRINUSE:
        return f"the port of {listen} is taken: stop what uses it, or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"no network interface has the address of {listen}"
    if error.errno in (errno.EACCES, errno.EPERM):
        place = f" ({error.filename})" if error.filename else ""
        return f"permission denied{place}: ports below 1024 need a capability, and state_dir must be writable"
    return error.strerror or str(error)


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration, or of audit events."""
    import json  # noqa: PLC0415 - only this command needs them

    if options.audit:
        from gateway.core.audit.schema import schema as audit_schema  # noqa: PLC0415 - the same

        say(json.dumps(audit_schema(), indent=2))
        return 0
    from gateway.edge.configfile.schema import schema as schema_of  # noqa: PLC0415 - the same

    say(json.dumps(schema_of(), indent=2))
    return 0


def generate(_: argparse.Namespace) -> int:
    """Print a new secret key."""
    from base64 import b64encode  # noqa: PLC0415 - only this command needs it

    say(b64encode(os.urandom(32)).decode())
    return 0


def demo(options: argparse.Namespace) -> int:
    """Run the demo."""
    from gateway.demo.run import main  # noqa: PLC0415 - only this command needs the demo

    _protect()
    return main(options)
