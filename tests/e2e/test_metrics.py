"""What a scrape of a whole gateway tells."""

import aiohttp
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from tests.support.world import World


@pytest.fixture
async def world(valkey_url, tmp_path):
    names = ("api-1", "api_1", "API.1")
    upstreams = {name: {"servers": ["http://127.0.0.1:9"]} for name in names}
    routes = [
        {"path": f"/{place}/", "upstream": name, "access": "public"} for place, name in enumerate(names)
    ]
    async with World(valkey_url, tmp_path, upstreams=upstreams, routes=routes) as world:
        yield world


async def test_each_part_tells_what_the_catalogue_promises(world):
    """[1.25] Every figure has a meaning, every part tells its own, and upstreams keep their names."""
    families = list(text_string_to_metric_families((await world.admin("GET", "/metrics")).text))
    samples = [sample for family in families for sample in family.samples]
    assert {sample.value for sample in samples if sample.name == "gateway_source_up"} == {1.0}
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name in CATALOGUE or name.startswith("gateway_process_"), name
    told = [
        each.labels["upstream"] for each in samples if each.name == "gateway_http_upstream_server_healthy"
    ]
    assert sorted(told) == ["API.1", "api-1", "api_1", "app"]


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


ACCEPTED = {
    PROMETHEUS_2: True,
    "application/openmetrics-text": True,
    "application/openmetrics-text; version=1.0.0; q=0.6, text/plain;version=0.0.4;q=0.5": True,
    "application/openmetrics-text;q=0.4,text/plain;q=0.5": False,
    "application/openmetrics-text;q=0": False,
    "application/openmetrics-text;version=9.9.9": False,
    "application/openmetrics-text;q=nan;,;;q=,text/plain;q=inf": False,
    "text/html,*/*;q=0.1": False,
    ",".join(["a/b"] * 500): False,
}


async def test_a_scrape_is_told_as_it_is_asked_for(world):
    """[12.rules]: OpenMetrics ends in EOF and any of its parsers reads it; everybody else gets 0.0.4."""
    url = f"http://127.0.0.1:{world.gateway.admin_port}/metrics"
    async with aiohttp.ClientSession() as session:
        for accept, is_open in ACCEPTED.items():
            async with session.get(url, headers={"Accept": accept}) as page:
                text, kind = await page.text(), page.headers["Content-Type"]
            if is_open:
                assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
                assert text.endswith("\n# EOF\n")
                families = list(openmetrics.text_string_to_metric_families(text))
            else:
                assert kind == "text/plain; version=0.0.4; charset=utf-8"
                assert "# EOF" not in text
                families = list(text_string_to_metric_families(text))
            names = {each.name for each in families}
            assert {"gateway_requests", "gateway_build_info", "gateway_own_seconds"} <= names
