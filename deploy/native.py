# ruff: noqa: INP001 - a script, no package
"""Compile the modules on the way of every request to extension modules, with mypyc; ``make native``.

The source stays what it is, and runs without: this makes a copy of the package under build/native in which
those modules are compiled, for the interpreter that runs this. Workers run that copy where it is of the very
source that they would run else (gateway/supervision/native.py). With ``--into`` the extension modules are put
into an installed package instead. It needs mypy, setuptools, a C compiler and Python's headers.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gateway.supervision import native  # noqa: E402 - of this very checkout

_IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import gateway
def is_ours(each):
    return each.__module__.startswith("gateway.")


def is_compiled(name):
    return not (getattr(sys.modules.get(name), "__file__", None) or ".py").endswith(".py")


for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    if module.name.endswith("__main__"):
        continue
    found = importlib.import_module(module.name)
    for each in vars(found).values():
        # an interpreted class with a compiled base can be made, and no instance of it
        if isinstance(each, type) and each.__module__ == module.name and not is_compiled(module.name):
            bases = [base for base in each.__mro__ if is_ours(base) and is_compiled(base.__module__)]
            if bases and not issubclass(each, BaseException):
                sys.exit(f"{module.name}.{each.__name__} has a compiled base: compile it too")
"""


def missing() -> str:
    """Return what is needed here and absent; empty if nothing is."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler}; Debian: gcc)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "no headers of Python (Debian: python3-dev)"
    return ""


def hot_files() -> list[str]:
    """Return the modules to compile, relative to the package's parent."""
    return [f"{native.PACKAGE.name}/{name}" for name in native.HOT]


def compile_in(folder: Path, opt: str) -> None:
    """Compile the package's copy in ``folder``, in place."""
    # mypyc writes paths that are relative to the working directory
    os.chdir(folder)
    from mypyc.build import mypycify  # noqa: PLC0415 - absent where nothing is compiled
    from setuptools import Distribution  # noqa: PLC0415 - the same

    extensions = mypycify(hot_files(), opt_level=opt, debug_level="0", multi_file=True, target_dir="c")
    # the generated C is mypyc's, and so are its warnings
    for extension in extensions:
        extension.extra_compile_args.append("-w")
    command: Any = Distribution({"name": "native", "ext_modules": extensions}).get_command_obj("build_ext")
    command.inplace = True
    command.build_temp = "o"
    command.build_lib = "l"
    command.ensure_finalized()
    command.build_extensions = _in_parallel(command)
    command.run()
    shutil.rmtree("c")
    shutil.rmtree("o")
    shutil.rmtree("l", ignore_errors=True)


def _in_parallel(command: Any) -> Callable[[], None]:  # noqa: ANN401 - setuptools has no types
    """Return a ``build_extensions`` whose compiler compiles as many files at once as there are processors."""
    build = command.build_extensions

    def build_extensions() -> None:
        compile_one = command.compiler.compile

        def compile_all(sources: Sequence[str], **more: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                done = pool.map(lambda source: compile_one([source], **more), sources)
                return [name for names in done for name in names]

        command.compiler.compile = compile_all
        build()

    return build_extensions


def _run(arguments: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - this interpreter, and what this script gives it
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout.decode(errors='replace')[-4000:]}\nnative: the compilation failed")


def build(opt: str) -> Path:
    """Make the compiled form of this source, unless it is there; return where it is."""
    found = native.find()
    if found is not None:
        return found
    place = native.place_of()
    place.mkdir(parents=True, exist_ok=True)
    goal = place / native.digest()
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name) / "made"
        shutil.copytree(
            native.PACKAGE, folder / native.PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__")
        )
        # a process of its own: compilers are loud, and what they say is for whoever asks why it failed
        _run([__file__, "--in", str(folder), "--opt", opt])
        # what cannot be imported must not take the place of what can: an interpreted class, say, that has a
        # compiled base
        _run(["-P", "-c", _IMPORT_ALL, str(folder)])
        # what another build made meanwhile is of the same source
        with contextlib.suppress(OSError):
            folder.rename(goal)
    for other in place.iterdir():
        if other != goal:
            shutil.rmtree(other, ignore_errors=True)
    return goal


def install(package: Path, opt: str) -> None:
    """Put the extension modules into an installed package of the same source.

    Raises:
        SystemExit: it is another source.
    """
    if native.digest(package) != native.digest():
        sys.exit(f"native: {package} is of another source than {native.PACKAGE}")
    made = build(opt)
    for file in (*made.glob("*.so"), *(made / native.PACKAGE.name).rglob("*.so")):
        shutil.copy2(file, package.parent / file.relative_to(made))


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Compile the modules on the way of every request.")
    parser.add_argument("--into", type=Path, metavar="PACKAGE", help="an installed package to compile, too")
    parser.add_argument("--opt", default="3", help="the C compiler's level of optimisation, 0 to 3")
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        compile_in(options.folder, options.opt)
        return
    lack = missing()
    if lack:
        sys.stderr.write(f"native: nothing is compiled, workers run the source: {lack}\n")
        sys.exit(options.into is not None)
    began = time.monotonic()
    if options.into is not None:
        install(options.into, options.opt)
    elif native.find() is None:
        say = sys.stderr.write
        say("native: compiling what is on the way of every request, which takes a minute or two ...\n")
        say(f"native: {build(options.opt).relative_to(ROOT)} ({time.monotonic() - began:.0f} s)\n")


if __name__ == "__main__":
    main()
