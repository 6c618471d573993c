"""Traefik, built from its module by the Go that is here: ``python -m tests.support.traefik``.

``go install`` refuses a module with replacements, so a module of our own has them. The clients of a hundred
DNS services, by which certificates can be ordered, are left out: nothing here orders any.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

VERSION: Final = "v3.6.12"
_MODULE: Final = "github.com/traefik/traefik/v3"
_LEGO: Final = "github.com/go-acme/lego/v4"
_PATIENCE: Final = 1800.0
_NO_SERVICES: Final = """\
package dns

import (
\t"fmt"

\t"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName knows none.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
\treturn nil, fmt.Errorf("unrecognized DNS provider: %s", name)
}
"""


def program() -> Path:
    """Return where the program is once it is built."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "token-gateway-bench" / f"traefik-{VERSION}" / "traefik"


def build(go: str) -> Path:
    """Return the program, built if it is not there yet, which takes some minutes.

    Raises:
        subprocess.SubprocessError: it cannot be built.
    """
    target = program()
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

    (folder / "go.mod").write_text("module traefik\n")
    call("mod", "download", f"{_MODULE}@{VERSION}")
    modules = Path(call("env", "GOMODCACHE"))
    source = modules / f"{_MODULE}@{VERSION}"
    their = (source / "go.mod").read_text()
    (folder / "go.mod").write_text(their.replace(f"module {_MODULE}", "module traefik", 1))
    shutil.copyfile(source / "go.sum", folder / "go.sum")
    lego = call("list", "-m", "-f", "{{.Version}}", _LEGO)
    call("mod", "download", f"{_LEGO}@{lego}")
    shutil.copytree(modules / f"{_LEGO}@{lego}", folder / "lego", copy_function=shutil.copyfile)
    for each in ("lego", *(str(found.relative_to(folder)) for found in (folder / "lego").rglob("*"))):
        (folder / each).chmod(0o755)
    (folder / "lego/providers/dns/zz_gen_dns_providers.go").write_text(_NO_SERVICES)
    call("mod", "edit", f"-require={_MODULE}@{VERSION}", f"-replace={_LEGO}=./lego")
    call("build", "-mod=mod", "-ldflags=-s -w", "-o", str(target), f"{_MODULE}/cmd/traefik")
    shutil.rmtree(folder)
    return target


def main() -> int:
    """Build it, and say where it is, or why not."""
    go = shutil.which("go", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/go/bin")))
    if go is None:
        print("traefik: Go, which it is built with, is not installed")  # noqa: T201 - a command
        return 0
    try:
        print(build(go))  # noqa: T201 - a command
    except subprocess.CalledProcessError as error:
        print("traefik:", (error.stderr or "").strip()[-300:])  # noqa: T201 - a command
    except (OSError, subprocess.SubprocessError) as error:
        print("traefik:", error)  # noqa: T201 - a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
