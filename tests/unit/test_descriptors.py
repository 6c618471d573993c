"""The limit of open files: raised, compared with the configuration, and told when it is reached."""

import json
import subprocess
import sys
from pathlib import Path

from gateway.config.settings.root import Settings
from gateway.supervision.descriptors import count_needed
from tests.support.configuration import KEY

TREE = Path(__file__).parents[2]
# in a process of its own, since a limit that was lowered stays so
SCRIPT = """
import asyncio, json, os, resource, sys
from gateway.config.settings.logs import LogSettings
from gateway.config.settings.root import Settings
from gateway.edge.telemetry.logs import Logs
from gateway.supervision.descriptors import prepare, watch

def limit(soft, hard):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

lines = []
logs = Logs(LogSettings(), write=lines.append)

async def exhaust():
    watching = asyncio.create_task(watch(logs, look_every=0.01, say_every=0.3))
    await asyncio.sleep(0.1)
    assert not lines
    limit(100, 500)
    opened = []
    while len(opened) < 100:
        try:
            opened.append(os.dup(0))
        except OSError:
            break
    while len(lines) < 2:
        await asyncio.sleep(0.01)
    for each in opened:
        os.close(each)
    watching.cancel()

def start():
    settings = Settings.model_validate(json.loads(sys.argv[2]))
    limit(100, int(sys.argv[3]))
    prepare(settings, logs)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

asyncio.run(exhaust()) if sys.argv[1] == "exhaust" else start()
print(json.dumps([json.loads(line) for line in lines]))
"""


def described(**override: object) -> dict[str, object]:
    """Return the least configuration with others put over it."""
    return {
        "public_url": "http://localhost:8080",
        "secret_keys": [KEY],
        "providers": {"one": {"issuer": "https://one.example", "client_id": "c", "audiences": ["a"]}},
        "upstreams": {
            "app": {"servers": ["http://127.0.0.1:1", "http://127.0.0.1:2"], "max_connections": 20}
        },
        "routes": [{"path": "/", "upstream": "app", "access": "public"}],
        "limits": {"connections": 50},
    } | override


def run(*words: str) -> list[str]:
    """Run the script; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_a_worker_may_need():
    """Clients, every server's connections, and something besides."""
    assert count_needed(Settings.model_validate(described())) == 50 + 2 * 20 + 256


def test_the_soft_limit_is_raised_to_the_hard_one():
    """Where that is enough, nothing is said."""
    limit, lines = run("start", json.dumps(described()), "346")
    assert int(limit) == 346
    assert json.loads(lines) == []


def test_too_few_open_files_are_told_at_the_start():
    """One warning, with both numbers."""
    limit, lines = run("start", json.dumps(described()), "345")
    assert int(limit) == 345
    (line,) = json.loads(lines)
    assert (line["level"], line["event"], line["limit"], line["needed"]) == ("warning", "message", 345, 346)
    assert "max_connections" in line["message"]


def test_that_no_file_can_be_opened_is_told_once_in_a_while():
    """Nobody else says so: connections that cannot be taken in are closed without a word."""
    (text,) = run("exhaust")
    lines = json.loads(text)
    assert {(line["level"], line["reason"]) for line in lines} == {("error", "Too many open files")}
