"""A real Prometheus scrapes a real gateway, evaluates the rules, and answers what the dashboard asks."""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.configuration import TREE
from tests.support.fleet import Fleet
from tests.support.ports import free_port
from tests.support.world import Browser, World

RULES = TREE / "deploy/prometheus/rules.yaml"
SCRAPE = TREE / "deploy/prometheus/prometheus.yaml"
BOARD = json.loads((TREE / "deploy/grafana/token-gateway.json").read_text(encoding="utf-8"))
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


# what the traffic below does not meet: there is no TLS, no collector, no second site, no log of its own kind
WITHOUT_DATA = re.compile(r"gateway_(http_tls_certificate|telemetry|site_joins|log_audit|log_cut)_")


def filled_in(expression: str) -> str:
    """Return an expression as Grafana sends it: of every instance, over windows of a minute."""
    return expression.replace("$instance", ".*").replace("$__rate_interval", "1m")


async def visit(fleet: Fleet) -> Browser:
    """Let somebody come, be refused, be renewed, log out and be revoked."""
    browser = fleet.browser()
    assert (await browser.login("/page")).status == 200
    assert (await browser.fetch("/public/x")).status == 200
    assert (await browser.fetch("/unknown/x")).status == 502
    await asyncio.sleep(0.3)
    # renewed by now
    assert (await browser.fetch("/page")).status == 200
    await browser.submit(await browser.get("/.gateway/logout"))
    assert (await browser.fetch("/page")).status == 401
    denied = await browser.get("/page", follow=False)
    state = re.search(r"[?&]state=([^&]+)", denied.headers["Location"])[1]
    await browser.get(f"/.gateway/callback?error=access_denied&state={state}&iss={fleet.provider.issuer}")
    status, text = await fleet.admin("POST", "/revoke", json={"sub": "bob"})
    assert status == 200, text
    return browser


async def test_every_question_of_the_dashboard_has_an_answer(tmp_path):
    """[12.rules]: no expression of the board or the rules is in error, and what should have data has it."""
    gone = free_port()
    override = {
        "upstreams": {"gone": {"servers": [f"http://127.0.0.1:{gone}"]}},
        "routes": [
            {"path": "/unknown/", "upstream": "gone", "access": "public"},
            {"path": "/public/", "upstream": "app", "access": "public"},
            {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
        ],
    }
    asked = {
        (panel["title"], filled_in(target["expr"]))
        for panel in BOARD["panels"]
        for target in panel.get("targets", ())
    }
    rules = yaml.safe_load(RULES.read_text())["groups"]
    asked |= {(rule.get("alert", ""), rule["expr"]) for group in rules for rule in group["rules"]}
    async with (
        Fleet(2, **override) as fleet,
        prometheus(tmp_path, f"127.0.0.1:{fleet.admin_port}") as address,
        aiohttp.ClientSession() as session,
    ):
        fleet.provider.access_lifetime = 0.2
        browser = await visit(fleet)

        async def answer(expression: str) -> list[Any]:
            async with session.post(f"{address}/api/v1/query", data={"query": expression}) as told:
                found = await told.json()
                assert found["status"] == "success", (expression, found)
                return found["data"]["result"]

        async def is_told(expression: str) -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                return bool(await answer(expression))
            return False

        await until(lambda: is_told("count_over_time(gateway_workers_ready[1m]) > 1"))
        for _ in range(5):
            assert (await browser.fetch("/public/x")).status == 200
        await until(lambda: is_told('increase(gateway_requests_total{reason="public",status="2xx"}[1m]) > 0'))
        empty = set()
        for title, expression in sorted(asked):
            found = await answer(expression)
            if not found and not title.startswith("Gateway") and not WITHOUT_DATA.search(expression):
                empty.add((title, expression))
        assert not empty
        # real buckets give a real time
        quantile = "histogram_quantile(0.99, sum by (le) (rate(gateway_own_seconds_bucket[1m])))"
        (told,) = await answer(quantile)
        assert 0.0 < float(told["value"][1]) < 10.0
        # the recordings are told under their names
        await until(lambda: answer("gateway:requests:rate5m"))
        for browser in fleet.browsers:
            await browser.close()


async def until(condition: Any, tries: int = 400) -> None:
    """Wait until something holds."""
    for _ in range(tries):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come to pass")
