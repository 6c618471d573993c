"""Real applications for behind the gateway, from PyPI and by Go: ``python -m tests.support.apps``.

They live in an environment and a folder of their own, beside other programs that were built: nothing that the
gateway or its tests need depends on them. What is not prepared is skipped, with its reason.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).parents[2] / "requirements-apps.lock"
REGISTRY: Final = "v3.1.2"
_MODULE: Final = "github.com/distribution/distribution/v3"
_PATIENCE: Final = 900.0
# the drivers of clouds' stores are left out
_MAIN: Final = f"""\
package main

import (
\t"os"

\t"{_MODULE}/registry"
\t_ "{_MODULE}/registry/storage/driver/filesystem"
\t_ "{_MODULE}/registry/storage/driver/inmemory"
)

func main() {{
\tif registry.RootCmd.Execute() != nil {{
\t\tos.Exit(1)
\t}}
}}
"""


def _cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "token-gateway-bench"


def environment() -> Path:
    """Return where the environment is, or will be, for the lock file as it stands."""
    version = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return _cache() / f"apps-{version}"


def python() -> Path | None:
    """Return the interpreter that has the applications, None where they are not prepared."""
    found = environment() / "bin" / "python"
    return found if (environment() / ".complete").exists() else None


def interpreter() -> str:
    """Return that interpreter's path, or skip the test."""
    if (found := python()) is None:
        import pytest

        pytest.skip("requirements-apps.lock is not installed: python -m tests.support.apps does it")
    return str(found)


def registry() -> Path:
    """Return where the container registry is once it is built."""
    return _cache() / f"registry-{REGISTRY}" / "registry"


def install() -> Path:
    """Return the environment, made if it is not there yet.

    Raises:
        subprocess.SubprocessError: a package cannot be had.
    """
    target = environment()
    if python() is not None:
        return target
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True, timeout=_PATIENCE)
    pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(LOCK)],
        check=True,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    (target / ".complete").touch()
    return target


def build(go: str) -> Path:
    """Return the container registry, built if it is not there yet, which takes a minute.

    Raises:
        subprocess.SubprocessError: it cannot be built.
    """
    target = registry()
    if target.exists():
        return target
    folder = target.parent / "module"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [go, *arguments], cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
        return done.stdout.strip()

    (folder / "go.mod").write_text("module registry\n")
    call("mod", "download", f"{_MODULE}@{REGISTRY}")
    source = Path(call("env", "GOMODCACHE")) / f"{_MODULE}@{REGISTRY}"
    their = (source / "go.mod").read_text()
    (folder / "go.mod").write_text(their.replace(f"module {_MODULE}", "module registry", 1))
    shutil.copyfile(source / "go.sum", folder / "go.sum")
    (folder / "main.go").write_text(_MAIN)
    call("mod", "edit", f"-require={_MODULE}@{REGISTRY}")
    call("build", "-mod=mod", "-ldflags=-s -w", "-o", str(target), ".")
    shutil.rmtree(folder)
    return target


def main() -> int:
    """Prepare them, and say where each is, or why not."""
    go = shutil.which("go", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/go/bin")))
    if go is None:
        print("registry: Go, which it is built with, is not installed")  # noqa: T201 - a command
    for name, prepare in (("applications", install), ("registry", lambda: build(go) if go else None)):
        try:
            print(prepare() or "")  # noqa: T201 - a command
        except subprocess.CalledProcessError as error:
            print(f"{name}:", (error.stderr or "").strip()[-300:])  # noqa: T201 - a command
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{name}:", error)  # noqa: T201 - a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
