"""Assertions through whole gateways: what upstreams check, and how long it holds."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import jwt
import pytest

from gateway.config.settings.root import Settings
from tests.support.ports import free_port
from tests.support.world import World, merge

PAGE = (Path(__file__).parents[2] / "docs" / "what-upstreams-get.md").read_text(encoding="utf-8")
ASSERTION = "X-Gateway-Assertion"
ON = {"upstreams": {"app": {"assertion": {"audience": "billing"}}}}
GO_MODULE = "module upstream\n\ngo 1.24\n\nrequire github.com/coreos/go-oidc/v3 v3.14.1\n"
PYTHON = """
import sys
{code}
print(caller(sys.argv[1])["sub"])
"""
NODE = """{code}
console.log((await caller(process.argv[2])).sub);
"""
GO = """package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

{code}

func main() {
	token, err := caller(&http.Request{Header: http.Header{"X-Gateway-Assertion": {os.Args[1]}}})
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(token.Subject)
}
"""


def snippet(language: str, base: str) -> str:
    """Return what the page shows in a language, for the gateway at ``base``."""
    (code,) = [each for each in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if "caller" in each]
    # imports and the function's frame aside
    assert len([line for line in code.splitlines() if line.strip()]) <= 11
    return code.replace("https://app.example.com", base)


async def assertion_of(world: World, path: str = "/x") -> str:
    """Log in, and return what the upstream was told."""
    browser = world.browser()
    await browser.login(path)
    return world.upstream.last().headers[ASSERTION]


async def run(*command: str, cwd: Path) -> tuple[int, str]:
    """Return the exit code and output of a command."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


async def checks(world: World, command: tuple[str, ...], cwd: Path) -> None:
    """Show that a program takes the gateway's assertions, and none that it must not take."""
    good = await assertion_of(world)
    assert await run(*command, good, cwd=cwd) == (0, "alice\n")
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    signing = world.gateway.runtime.signing
    assert signing is not None
    now = world.clock()
    bad = (
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        signing.sign(claims | {"aud": "other"}, now),
        signing.sign(claims | {"iss": "https://evil.example"}, now),
        signing.sign(claims | {"exp": int(now) - 600}, now),
        jwt.encode(claims, None, "none"),
        world.provider.sign(claims),
        "x",
        "",
    )
    ended = await asyncio.gather(*(run(*command, each, cwd=cwd) for each in bad))
    assert all(code != 0 and "alice\n" not in output for code, output in ended), ended


@pytest.mark.asyncio
@pytest.mark.settings(ON)
async def test_python_checks_it(world: World, tmp_path: Path):
    """[11.9]: with the lines of the page."""
    code = snippet("python", world.base).replace('"""Return', 'r"""Return')
    (tmp_path / "check.py").write_text(PYTHON.replace("{code}", code))
    import sys

    await checks(world, (sys.executable, "check.py"), tmp_path)


@pytest.mark.asyncio
@pytest.mark.settings(ON)
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
async def test_node_checks_it(world: World, tmp_path: Path):
    """[11.9]: with the lines of the page."""
    (tmp_path / "check.mjs").write_text(NODE.replace("{code}", snippet("javascript", world.base)))
    await checks(world, ("node", "check.mjs"), tmp_path)


@pytest.mark.asyncio
@pytest.mark.settings(ON)
@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go here")
async def test_go_checks_it(world: World, tmp_path: Path):
    """[11.9]: with the lines of the page."""
    (tmp_path / "go.mod").write_text(GO_MODULE)
    (tmp_path / "main.go").write_text(GO.replace("{code}", snippet("go", world.base)))
    code, output = await run("go", "mod", "tidy", cwd=tmp_path)
    if code != 0:
        pytest.skip("Go's modules cannot be had here")
    assert await run("go", "build", "-o", "check", ".", cwd=tmp_path) == (0, ""), output
    await checks(world, (str(tmp_path / "check"),), tmp_path)


@pytest.mark.asyncio
@pytest.mark.settings(ON | {"assertions": {"algorithm": "EdDSA", "rotate_every": "1h"}})
async def test_rotation_across_the_fleet(world: World):
    """[11.9]: two gateways sign alike, rotate at one moment, and each publishes what the other signs with."""
    port = free_port()
    more = {"listen": f"127.0.0.1:{port}", "admin": {"listen": f"127.0.0.1:{free_port()}"}}
    other = await world.start_gateway(Settings.model_validate(merge(world.config(), more)))
    first, second = world.gateway.runtime.signing, other.runtime.signing
    assert first is not None
    assert second is not None
    seen = set()
    for _ in range(4):
        token = first.sign({"sub": "alice"}, world.clock())
        assert token == second.sign({"sub": "alice"}, world.clock())
        page = await world.browser().fetch(f"http://127.0.0.1:{port}/.gateway/jwks.json")
        assert page.status == 200
        keys = jwt.PyJWKSet.from_json(page.text)
        kid = jwt.get_unverified_header(token)["kid"]
        assert jwt.decode(token, keys[kid], ["EdDSA"]) == {"sub": "alice"}
        seen.add(kid)
        world.clock.advance(3600)
    assert len(seen) == 4


@pytest.mark.asyncio
@pytest.mark.settings({"upstreams": ON["upstreams"], "session": {"mode": "redis"}})
async def test_records_bring_it_too(world: World):
    """[11.9]: one for each login, sent with every request; after half of its life a newer one."""
    browser = world.browser()
    await browser.login("/x")
    sent = []
    for path in ("/x", "/y", "/admin/x"):
        assert (await browser.fetch(path)).status == 200
        sent.append(world.upstream.last().headers.getall(ASSERTION))
    assert sent == [sent[0]] * 3
    world.clock.advance(160)
    await browser.fetch("/x")
    assert world.upstream.last().headers.getall(ASSERTION) != sent[0]
    metrics = (await world.admin("GET", "/metrics")).text
    (signed,) = re.findall(r"^gateway_assertions_signed_total ([0-9.]+)$", metrics, re.MULTILINE)
    assert float(signed) == 2.0


@pytest.mark.asyncio
@pytest.mark.settings(merge(ON, {"providers": {"demo": {"access_token": "jwt", "audiences": ["demo-api"]}}}))
async def test_sessions_that_are_judged_each_time_sign_once(world: World):
    """[11.9]: where each request verifies the access token, the assertion is remembered all the same."""
    browser = world.browser()
    await browser.login("/x")
    for _ in range(5):
        assert (await browser.fetch("/x")).status == 200
    assert world.gateway.runtime.signing is not None
    assert world.gateway.runtime.signing.signed == 1
