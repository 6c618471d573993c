"""A real Prometheus scrapes a real gateway, evaluates the rules, and raises the alert for failed logins."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.configuration import TREE
from tests.support.ports import free_port
from tests.support.world import World

RULES = TREE / "deploy/prometheus/rules.yaml"
SCRAPE = TREE / "deploy/prometheus/prometheus.yaml"
MINUTES = re.compile(r"\b(\d+)(m|h|s)\b")


def hurried(rules: str) -> str:
    """Return the rules with every window and patience cut to seconds; what they ask for stays the same."""

    def cut(match: re.Match[str]) -> str:
        return "5s" if match[2] in "mh" else "1s"

    return MINUTES.sub(cut, rules)


@contextlib.asynccontextmanager
async def prometheus(directory: Path, target: str) -> AsyncIterator[str]:
    """Run Prometheus with the shipped configuration, pointed at one gateway; its address."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    configuration = yaml.safe_load(SCRAPE.read_text())
    configuration["global"] = {
        "scrape_interval": "500ms",
        "evaluation_interval": "500ms",
        "scrape_timeout": "400ms",
    }
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    (directory / "rules.yaml").write_text(hurried(RULES.read_text()))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def ask(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """Return what Prometheus answers, empty while it does not."""
    try:
        async with session.get(url) as answer:
            return (await answer.json())["data"] if answer.status == 200 else {}
    except aiohttp.ClientError:
        return {}


def firing(told: dict[str, Any]) -> set[str]:
    """Return the names of the alerts that fire."""
    return {alert["labels"]["alertname"] for alert in told.get("alerts", ()) if alert["state"] == "firing"}


async def test_failed_logins_raise_their_alert(valkey_url, tmp_path):
    """[4.1] [2.14]: no rule is in error over a real scrape; logins that fail one by one are told."""
    async with (
        World(valkey_url, tmp_path) as world,
        prometheus(tmp_path, f"127.0.0.1:{world.gateway.admin_port}") as address,
        aiohttp.ClientSession() as session,
    ):

        async def told(path: str) -> dict[str, Any]:
            return await ask(session, f"{address}/api/v1/{path}")

        async def is_scraped() -> bool:
            groups = (await told("rules")).get("groups", ())
            targets = (await told("targets")).get("activeTargets", ())
            rules = [rule for group in groups for rule in group["rules"]]
            assert not [rule for rule in rules if rule.get("lastError")]
            return bool(rules) and all(each["health"] == "ok" for each in (*rules, *targets))

        await until(is_scraped)
        assert "GatewayLoginsFail" not in firing(await told("alerts"))

        async def fails_and_is_told() -> bool:
            browser = world.browser()
            page = await browser.get("/x", follow=False)
            state = re.search(r"[?&]state=([^&]+)", page.headers["Location"])[1]
            refused = await browser.get(
                f"/.gateway/callback?error=access_denied&state={state}&iss={world.provider.issuer}"
            )
            assert refused.status == 400
            return "GatewayLoginsFail" in firing(await told("alerts"))

        await until(fails_and_is_told)


async def until(condition: Any, tries: int = 400) -> None:
    """Wait until something holds."""
    for _ in range(tries):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come to pass")
