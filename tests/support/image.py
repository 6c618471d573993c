"""The image's file system without a container engine: ``python -m tests.support.image`` makes it, as root.

The Dockerfile's own instructions are followed, each in a root of its own (chroot in a mount namespace). What
``FROM`` would bring is this machine's Python and libraries, read-only; and the instruction that compiles is
left out, since a test of its own does the same. So this shows what the Dockerfile copies, installs and leaves
behind, who it runs as, and that it needs nothing writable; not what the base image holds.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.configuration import TREE

_BASE: Final = ("usr", "lib", "lib64", "bin", "sbin")
_SETTINGS: Final = ("hosts", "ld.so.cache", "nsswitch.conf", "passwd", "group", "resolv.conf")
_OWN: Final = ("opt", "src", "dist", "tmp", "run", "root", "var/lib/gateway", "shims", "dev", "proc")
_LEFT_OUT: Final = "deploy/native.py"
_STAMP: Final = "image.json"
BILL: Final = "opt/venv/share/token-gateway/sbom.cdx.json"


@dataclass
class Stage:
    """A stage: its root, and what was said of the processes in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    workdir: str = "/"
    labels: dict[str, str] = field(default_factory=dict)


def folder() -> Path:
    """Return where the image's root is once it is made."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "token-gateway-bench" / "image"


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def made() -> Stage | None:
    """Return the final stage as it was made of the present Dockerfile and package, None where it was not."""
    try:
        told = json.loads((folder() / _STAMP).read_text())
    except (OSError, ValueError):
        return None
    if told.pop("of") != _of():
        return None
    return Stage(**{**told, "root": Path(told["root"])})


def _of() -> str:
    """Return a digest of what the image is made of."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("Dockerfile", "requirements.lock", "requirements-build.lock", "pyproject.toml"):
        digest.update((TREE / name).read_bytes())
    for path in sorted(each for each in (TREE / "gateway").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make() -> Stage:
    """Make it.

    Raises:
        subprocess.CalledProcessError: an instruction fails.
    """
    shutil.rmtree(folder(), ignore_errors=True)
    stages: dict[str, Stage] = {}
    stage = Stage(folder())
    for word, rest in instructions((TREE / "Dockerfile").read_text()):
        if word == "FROM":
            stage = _from(folder() / f"stage-{len(stages)}")
            stages[rest.partition(" AS ")[2] or str(len(stages))] = stage
        elif word == "COPY":
            _copy(rest, stage, stages)
        elif word == "RUN" and _LEFT_OUT not in rest and "useradd" not in rest:
            enter(stage, ["sh", "-c", rest], writable=True).check_returncode()
        else:
            _say(word, rest, stage)
    told = {**stage.__dict__, "root": str(stage.root), "of": _of()}
    (folder() / _STAMP).write_text(json.dumps(told))
    return stage


def _from(root: Path) -> Stage:
    for name in (*_BASE, *_OWN):
        (root / name).mkdir(parents=True)
    (root / "etc/gateway").mkdir(parents=True)
    for name in _SETTINGS:
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), root / "etc" / name)
    shutil.copytree("/etc/ssl", root / "etc/ssl", symlinks=True, ignore=shutil.ignore_patterns("private"))
    (root / "shims/python").symlink_to(sysconfig.get_config_var("BINDIR") + "/" + _python())
    return Stage(root, {"PATH": "/shims:/usr/local/bin:/usr/bin:/bin"})


def _python() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _copy(rest: str, stage: Stage, stages: Mapping[str, Stage]) -> None:
    words = rest.split()
    origin = TREE
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root
    *sources, target = words
    for each in sources:
        source = origin / each.lstrip("/")
        into = stage.root / target.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, into, symlinks=origin != TREE, dirs_exist_ok=True)
        else:
            shutil.copy(source, into / source.name if target.endswith("/") else into)


def _say(word: str, rest: str, stage: Stage) -> None:
    match word:
        case "ENV":
            pairs = (each.partition("=") for each in shlex.split(rest))
            for name, _, value in pairs:
                stage.environment[name] = value.replace("$PATH", stage.environment["PATH"])
        case "LABEL":
            stage.labels |= dict(each.split("=", 1) for each in shlex.split(rest))
        case "USER":
            stage.user = rest
        case "WORKDIR":
            stage.workdir = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case "RUN" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK":
            pass
        case _:
            raise ValueError(f"an instruction that nobody follows here: {word}")


def command_of(
    stage: Stage, words: Sequence[str], *, writable: bool = False, mounts: Mapping[str, Path] | None = None
) -> list[str]:
    """Return the command that runs another one in a stage's root.

    ``mounts`` are shown read-only at these paths; unless ``writable``, so is the whole root, but for /tmp.
    """
    root = shlex.quote(str(stage.root))
    base = sysconfig.get_config_var("prefix")
    lines = ["set -e", f"mount --bind {root} {root}", f"cd {root}"]
    lines += [
        f"test ! -e /{name} || {{ mount --rbind /{name} {name}; mount -o remount,bind,ro {name}; }}"
        for name in _BASE
    ]
    if not base.startswith("/usr"):
        lines.append(f"mkdir -p .{base}; mount --bind {base} .{base}")
    lines += ["mount --rbind /dev dev", "mount -t proc proc proc"]
    for place, path in (mounts or {}).items():
        lines.append(f"mkdir -p .{place}; mount --bind {shlex.quote(str(path))} .{place}")
        lines.append(f"mount -o remount,bind,ro .{place}")
    if not writable:
        lines += ["mount -o remount,bind,ro .", "mount -t tmpfs -o mode=1777 tmpfs tmp"]
    user, _, group = stage.user.partition(":")
    become = f"setpriv --reuid {user} --regid {group} --clear-groups --no-new-privs"
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    pairs = [f"{name}={value}" for name, value in ({"HOME": "/root"} | kept | stage.environment).items()]
    inner = f"cd {stage.workdir} && exec env -i {shlex.join([*pairs, *words])}"
    lines.append(f"exec chroot . {become} sh -c {shlex.quote(inner)}")
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(lines)]


def enter(
    stage: Stage, words: Sequence[str], *, writable: bool = False, mounts: Mapping[str, Path] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a stage's root, and return how it ended."""
    return subprocess.run(
        command_of(stage, words, writable=writable, mounts=mounts),
        check=False,
        capture_output=True,
        text=True,
    )


def main() -> int:
    """Make it, and say why not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        sys.stderr.write("image: only root can make and enter its file system\n")
        return 1
    try:
        stage = make()
    except (subprocess.CalledProcessError, OSError) as error:
        sys.stderr.write(f"image: not made: {error}\n{getattr(error, 'stderr', '')}\n")
        return 1
    keep_bill(stage, TREE / "build")
    sys.stdout.write(f"{stage.root}\n")
    return 0


def keep_bill(stage: Stage, directory: Path) -> Path:
    """Copy what tells of the image's parts (CycloneDX) to where CI keeps what it makes; return the file."""
    directory.mkdir(exist_ok=True)
    return Path(shutil.copy(stage.root / BILL, directory / Path(BILL).name))


if __name__ == "__main__":
    raise SystemExit(main())
