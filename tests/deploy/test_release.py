"""What is released: the source distribution and the wheel are whole, and what is installed of them works."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

import gateway
from tests.support.configuration import TREE

NOT_SHIPPED = shutil.ignore_patterns(
    ".venv",
    ".git",
    "build",
    "dist",
    ".*_cache",
    ".hypothesis",
    ".demo",
    "__pycache__",
    "*.egg-info",
    "secrets",
)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both, built as they are released: the wheel from the source distribution."""
    folder = tmp_path_factory.mktemp("release")
    shutil.copytree(TREE, folder / "tree", ignore=NOT_SHIPPED)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "tree"]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(released: Path) -> zipfile.ZipFile:
    """The wheel."""
    (path,) = released.glob("*.whl")
    return zipfile.ZipFile(path)


def files(folder: str) -> set[str]:
    """Return the files of a folder of the tree that belong to it, by their paths."""
    found = (path for path in (TREE / folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(TREE))
        for path in found
        if "__pycache__" not in path.parts and "secrets" not in path.parts
    }


def test_the_wheel_is_whole(wheel: zipfile.ZipFile):
    """[12.releases]: every file of the package, and config/ and deploy/ as data."""
    names = set(wheel.namelist())
    assert files("gateway") <= names
    share = f"token_gateway-{gateway.__version__}.data/data/share/token-gateway/"
    assert {f"{share}{each}" for each in (*files("config"), *files("deploy"))} - {
        f"{share}deploy/native.py"
    } <= names
    assert not [each for each in names if each.startswith(("tests/", "docs/"))]


def test_the_source_distribution_is_whole(released: Path):
    """[12.releases]: every file that is under version control."""
    (path,) = released.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {each.name.partition("/")[2] for each in archive.getmembers()}
    listed = subprocess.run(["git", "ls-files"], check=False, capture_output=True, text=True, cwd=TREE)
    if listed.returncode != 0:
        pytest.skip("this copy is not under version control")
    assert set(listed.stdout.splitlines()) - names <= {".gitignore"}


def metadata(wheel: zipfile.ZipFile) -> Message:
    """Return the wheel's metadata."""
    name = next(each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_the_version_has_one_place(wheel: zipfile.ZipFile):
    """[12.releases]: the package's; what has to repeat it says the same."""
    version = gateway.__version__
    assert metadata(wheel)["Version"] == version
    assert f'version = "{version}"' not in (TREE / "pyproject.toml").read_text()
    assert f'org.opencontainers.image.version="{version}"' in (TREE / "Dockerfile").read_text()
    chart = yaml.safe_load((TREE / "deploy/kubernetes/chart/Chart.yaml").read_text())
    assert chart["appVersion"] == version


def test_the_metadata_tells_what_it_is(wheel: zipfile.ZipFile):
    """[12.releases]: licence, classifiers, description, and the command under both of its names."""
    told = metadata(wheel)
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE"]
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    assert told["Description-Content-Type"] == "text/markdown"
    name = next(each for each in wheel.namelist() if each.endswith("entry_points.txt"))
    entry_points = wheel.read(name).decode()
    assert re.search(r"\[console_scripts\]\ngateway = gateway\.cli\.main:main", entry_points)
    assert re.search(r"\[pipx\.run\]\ntoken-gateway = gateway\.cli\.main:main", entry_points)


def test_what_is_installed_works(released: Path, tmp_path: Path):
    """[12.releases]: the command, from its own files, with a configuration that came along."""
    (path,) = released.glob("*.whl")
    prefix = tmp_path / "prefix"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--ignore-installed", "--prefix", prefix, path],
        check=True,
        capture_output=True,
    )
    (site,) = prefix.glob("lib*/python*/site-packages")
    key = subprocess.run(
        [sys.executable, "-m", "gateway", "keys", "generate"], check=True, capture_output=True, text=True
    ).stdout.strip()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "GATEWAY_SECRET_KEY": key,
        "GATEWAY_CLIENT_SECRET": "made-up-for-this-test",
    }

    def run(*words: str) -> str:
        command = [prefix / "bin/gateway", *words]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = [sys.executable, "-c", "import gateway; print(gateway.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert found.stdout.startswith(str(site))
    assert run("--version").strip() == f"gateway {gateway.__version__}"
    assert "good" in run("check", "--config", str(prefix / "share/token-gateway/config/minimal.yaml"))
    assert json.loads(run("schema"))["title"] == "Token Gateway configuration"
