"""What a scrape of a whole gateway tells."""

import pytest
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
