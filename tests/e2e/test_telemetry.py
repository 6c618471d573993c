"""Traces, metrics and logs at a collector that reads them with the protocol's own messages."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.edge.telemetry.otlp import exporter
from tests.support.collector import Collector, attributes
from tests.support.fleet import Fleet
from tests.support.ports import free_port
from tests.support.world import World

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TOLD = f"00-{TRACE}-{PARENT}-01"
LOOPBACK = {"trusted_proxies": ["127.0.0.1/32"], "forwarding": {"scheme": "none"}}
EVERYTHING = {"traces": {"sample": 1.0}, "metrics": {"interval": "1s"}, "logs": {}}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Batches do not wait long."""
    monkeypatch.setattr(exporter, "PAUSE", 0.02)


@pytest.fixture
async def collector():
    """A collector."""
    async with Collector() as collector:
        yield collector


def telemetry(collector: Collector, **more) -> dict:
    """Return the section that sends traces there."""
    return {"endpoint": collector.url, "traces": {"sample": 1.0}} | more


def by_name(collector: Collector, trace_id: str | None = None) -> dict:
    """Return the spans, of one trace where one is named, by their names."""
    return {
        span.name: span for span in collector.spans() if trace_id is None or span.trace_id.hex() == trace_id
    }


async def test_a_trace_goes_on_through_two_gateways_to_an_instrumented_upstream(
    valkey_url, tmp_path, collector
):
    """[12.otel]: each hop's parent is the span of the call before, and the upstream's own span fits in."""
    trusting = LOOPBACK | {"telemetry": telemetry(collector)}
    async with World(valkey_url, tmp_path, **trusting) as inner:
        first = trusting | {"upstreams": {"app": {"servers": [inner.base], "host": "rewrite"}}}
        async with World(valkey_url, tmp_path / "first", **first) as outer:
            state = "vendor=opaque,rojo=00f067"
            headers = {"traceparent": TOLD, "tracestate": state, "X-Forwarded-For": "192.0.2.7"}
            page = await outer.browser().get("/public/x?secret=query", headers=headers)
            assert page.status == 200
            reached = inner.upstream.last().headers
            await outer.gateway.close()
        await inner.gateway.close()
    # the upstream is instrumented with OpenTelemetry itself
    context = TraceContextTextMapPropagator().extract(reached)
    with TracerProvider().get_tracer("upstream").start_as_current_span("work", context=context) as span:
        assert format(span.get_span_context().trace_id, "032x") == TRACE
        assert span.parent.trace_flags.sampled
        assert dict(span.get_span_context().trace_state) == {"vendor": "opaque", "rojo": "00f067"}
        parent = span.parent.span_id.to_bytes(8, "big")
    assert otel.get_current_span() is otel.INVALID_SPAN
    spans = {span.span_id: span for span in collector.spans()}
    assert len(spans) == len(collector.spans()) == 6
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert {span.trace_state for span in spans.values()} == {"vendor=opaque,rojo=00f067"}
    # upwards, from the upstream's own span to whoever began
    kinds = []
    while parent in spans:
        kinds.append(spans[parent].kind)
        parent = spans[parent].parent_span_id
    client, server = 3, 2
    assert kinds == [client, server, client, server]
    assert parent.hex() == PARENT


async def test_what_spans_tell(valkey_url, tmp_path, collector):
    """[12.otel]: the names of the conventions, our words, and times that lie within each other."""
    async with World(valkey_url, tmp_path, telemetry=telemetry(collector)) as world:
        assert (await world.browser().fetch("/public/a/b?c=d")).status == 200
        await world.gateway.close()
    spans = {span.kind: span for span in collector.spans()}
    internal, server, client = spans[1], spans[2], spans[3]
    told = attributes(server)
    assert server.name == "GET /public/"
    assert told["http.request.method"] == "GET"
    assert told["http.response.status_code"] == 200
    assert (told["url.path"], told["url.scheme"]) == ("/public/a/b", "http")
    assert (told["server.address"], told["server.port"]) == ("localhost", world.public_port)
    assert told["client.address"] == "127.0.0.1"
    assert (told["gateway.route"], told["gateway.upstream"]) == ("/public/", "app")
    assert (told["gateway.decision"], told["gateway.reason"]) == ("forward", "public")
    assert told["gateway.request_id"] == world.audit("request")[0]["request_id"]
    assert server.status.code == 0
    assert attributes(internal) == {"gateway.decision": "forward", "gateway.reason": "public"}
    assert attributes(client)["http.response.status_code"] == 200
    assert not server.parent_span_id
    assert internal.parent_span_id == client.parent_span_id == server.span_id
    for inner in (internal, client):
        assert server.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano
        # clocks are read one after the other
        assert inner.end_time_unix_nano <= server.end_time_unix_nano + 1_000_000
    assert collector.requests[0].headers["Content-Type"] == "application/x-protobuf"
    who = collector.resources()[0]
    assert (who["service.name"], who["telemetry.sdk.language"]) == ("token-gateway", "python")


async def test_needs_of_a_login_and_a_refresh_have_spans(valkey_url, tmp_path, collector):
    """[12.otel]: what was fetched is told by its word, with the provider, below the decision."""
    override = {"telemetry": telemetry(collector), "session": {"mode": "redis"}}
    async with World(valkey_url, tmp_path, **override) as world:
        browser = world.browser()
        page = await browser.login("/page")
        assert page.status == 200
        world.clock.advance(world.provider.access_lifetime + 1)
        assert (await browser.get("/page")).status == 200
        await world.gateway.close()
    needs = {attributes(span).get("gateway.need"): span for span in collector.spans()}
    assert {"login", "redeem_code", "keys", "save_session", "refresh"} <= needs.keys()
    assert attributes(needs["redeem_code"])["gateway.provider"] == "demo"
    decisions = {span.span_id for span in collector.spans() if span.name == "decision"}
    assert {span.parent_span_id for word, span in needs.items() if word} <= decisions


async def test_r16_nothing_secret_is_in_a_trace(valkey_url, tmp_path, collector):
    """R16 [12.otel]: no token, code, query, cookie or e-mail address stands in any span."""
    async with World(valkey_url, tmp_path, telemetry=telemetry(collector)) as world:
        browser = world.browser()
        await browser.login("/people/alice@example.com/?token=in-the-query")
        await browser.get("/reset/eyJhbGciOiJub25lIn0.e30.x/alice%40example.com")
        cookies = browser.cookies()
        await world.gateway.close()
    told = b"".join(message.SerializeToString() for message in collector.messages)
    for secret in (b"@example", b"%40example", b"eyJ", b"in-the-query", b"code=", b"state="):
        assert secret not in told
    assert cookies
    for value in cookies.values():
        assert value.encode() not in told
    assert b"/people/[redacted]/" in told


FOREIGN = [
    TOLD.upper(),
    TOLD[:-1],
    f"ff-{TRACE}-{PARENT}-01",
    f"{TOLD}-more",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    "00-" + "a" * 4000,
    '"><script>',
]


@pytest.mark.parametrize("policy", ["trusted_proxies", "nobody"])
async def test_who_is_not_believed_begins_a_trace(valkey_url, tmp_path, collector, policy):
    """[12.otel]: a stranger's traceparent and tracestate go nowhere; ours does."""
    section = telemetry(collector, traces={"sample": 0.0, "continue_from": policy})
    trusted = LOOPBACK if policy == "nobody" else {}
    async with World(valkey_url, tmp_path, telemetry=section, **trusted) as world:
        headers = {"Traceparent": TOLD, "TraceState": "a=b"}
        assert (await world.browser().fetch("/public/x", headers=headers)).status == 200
        reached = world.upstream.last().headers
        await world.gateway.close()
    assert len(reached.getall("traceparent")) == 1
    assert TRACE not in reached["traceparent"]
    # not recorded, and the upstream is told so
    assert reached["traceparent"].endswith("-00")
    assert "tracestate" not in reached
    assert collector.spans() == []


async def test_what_cannot_be_read_begins_a_trace(valkey_url, tmp_path, collector):
    """[12.otel]: of malformed, doubled and hop-by-hop fields nothing remains."""
    section = telemetry(collector, traces={"sample": 1.0, "continue_from": "anybody"})
    async with World(valkey_url, tmp_path, telemetry=section) as world:
        sent = [[("traceparent", each)] for each in FOREIGN]
        sent.append([("traceparent", TOLD), ("traceparent", TOLD)])
        sent.append([("traceparent", TOLD), ("Connection", "traceparent")])
        for headers in sent:
            async with world.browser().session.get(world.base + "/public/x", headers=headers) as answer:
                assert answer.status == 200
            (parent,) = world.upstream.last().headers.getall("traceparent")
            assert TRACE not in parent, headers
            assert len(parent) == 55
        # a broken tracestate alone is dropped alone
        headers = {"traceparent": TOLD, "tracestate": "a=b,a=c"}
        assert (await world.browser().fetch("/public/x", headers=headers)).status == 200
        reached = world.upstream.last().headers
        assert TRACE in reached["traceparent"]
        assert "tracestate" not in reached
        # a version to come is read as far as this one goes (section 4.3)
        await world.browser().fetch("/public/x", headers={"traceparent": f"01-{TRACE}-{PARENT}-01-more"})
        assert world.upstream.last().headers["traceparent"].startswith(f"00-{TRACE}-")


async def test_a_parent_decides_what_is_recorded(valkey_url, tmp_path, collector):
    """[12.otel]: sampled there is sampled here, whatever our own share; not there, not here."""
    section = telemetry(collector, traces={"sample": 0.0})
    async with World(valkey_url, tmp_path, telemetry=section, **LOOPBACK) as world:
        browser = world.browser()
        await browser.fetch("/public/x", headers={"traceparent": TOLD})
        other = f"00-{'ab' * 16}-{PARENT}-00"
        await browser.fetch("/public/x", headers={"traceparent": other})
        assert world.upstream.last().headers["traceparent"].startswith(f"00-{'ab' * 16}-")
        assert world.upstream.last().headers["traceparent"].endswith("-00")
        await world.gateway.close()
    assert {span.trace_id.hex() for span in collector.spans()} == {TRACE}


async def test_faults_and_refusals_are_told(valkey_url, tmp_path, collector):
    """[12.otel]: an upstream that is away is an error of the call and of the request; a refusal is none."""
    upstreams = {"app": {"servers": [f"http://127.0.0.1:{free_port()}"]}}
    async with World(valkey_url, tmp_path, telemetry=telemetry(collector), upstreams=upstreams) as world:
        browser = world.browser()
        assert (await browser.fetch("/public/x")).status == 502
        assert (await browser.fetch("/api/x")).status == 401
        await world.gateway.close()
    spans = {
        (span.kind, attributes(span).get("http.response.status_code")): span for span in collector.spans()
    }
    failed, refused = spans[2, 502], spans[2, 401]
    assert (failed.status.code, failed.status.message) == (2, "upstream_unreachable")
    assert (
        attributes(failed)["error.type"] == attributes(spans[3, None])["error.type"] == "upstream_unreachable"
    )
    assert spans[3, None].status.code == 2
    assert refused.status.code == 0
    assert attributes(refused)["gateway.decision"] == "refuse"


async def test_log_lines_are_told_with_their_trace(valkey_url, tmp_path, collector):
    """[12.otel]: access lines and audit events have attributes by their own names, and the request's ids."""
    section = telemetry(collector, logs={})
    async with World(valkey_url, tmp_path, telemetry=section) as world:
        await world.browser().login("/page")
        await world.gateway.close()
        lines = world.lines
    records = collector.records()
    told = {(record.event_name, attributes(record).get("request_id")): record for record in records}
    servers = {attributes(span)["gateway.request_id"]: span for span in collector.spans() if span.kind == 2}
    assert servers
    for request_id, span in servers.items():
        record = told["request", request_id]
        assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
        assert attributes(record)["gateway_us"] >= 0
        assert record.severity_text == "info"
    login = next(record for record in records if record.event_name == "login")
    assert login.trace_id
    assert attributes(login)["reason"] == "login_completed"
    assert login.body.string_value == "login"
    # every line that was written, and nothing else
    assert len(records) == len(lines)


async def test_metrics_are_told(valkey_url, tmp_path, collector):
    """[12.otel]: sums are cumulative and monotonic, histograms have real buckets, gauges are gauges."""
    section = {"endpoint": collector.url, "metrics": {"interval": "1s"}}
    async with World(valkey_url, tmp_path, telemetry=section) as world:
        browser = world.browser()
        for _ in range(3):
            assert (await browser.fetch("/public/x")).status == 200
        # the last are told at the end
        await world.gateway.close()
    metrics = collector.metrics()
    requests = metrics["gateway_requests"].sum
    assert requests.is_monotonic
    assert requests.aggregation_temporality == 2
    (point,) = [each for each in requests.data_points if attributes(each)["route"] == "/public/"]
    assert (point.as_double, attributes(point)["reason"]) == (3.0, "public")
    assert 0 < point.start_time_unix_nano < point.time_unix_nano
    (own,) = metrics["gateway_own_seconds"].histogram.data_points
    assert own.count == sum(own.bucket_counts) == 3
    assert len(own.bucket_counts) == len(own.explicit_bounds) + 1 == 15
    assert list(own.explicit_bounds) == sorted(own.explicit_bounds)
    assert own.sum > 0
    assert metrics["gateway_store_up"].gauge.data_points[0].as_double == 1.0
    assert metrics["gateway_own_seconds"].unit == "s"
    assert collector.spans() == collector.records() == []


async def test_a_collector_that_is_away_disturbs_nobody(valkey_url, tmp_path, monkeypatch):
    """[12.otel]: requests go on, what has no room is counted, one line tells, and the end does not wait."""
    monkeypatch.setattr(exporter, "MOST_WAITING", 8)
    section = {"endpoint": f"http://127.0.0.1:{free_port()}", "traces": {"sample": 1.0}}
    async with World(valkey_url, tmp_path, telemetry=section) as world:
        browser = world.browser()
        for _ in range(20):
            assert (await browser.fetch("/public/x")).status == 200
        await world.eventually(lambda: [each for each in world.lines if each.get("level") == "warning"])
        text = (await world.admin("GET", "/metrics")).text
        async with asyncio.timeout(10):
            await world.gateway.close()
    (told,) = [each for each in world.lines if each.get("message") == "telemetry is not taken"]
    assert "cannot be reached" in told["detail"]
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("gateway_telemetry"))
    assert float(figures['gateway_telemetry_dropped_total{signal="traces"}']) > 0
    assert float(figures['gateway_telemetry_sent_total{signal="traces"}']) == 0


async def test_a_collector_that_hangs_does_not_hold_up_the_end(valkey_url, tmp_path, collector):
    """[12.otel]: the end is bounded, whatever the collector does."""
    collector.hold = asyncio.Event()
    async with World(valkey_url, tmp_path, telemetry=telemetry(collector)) as world:
        assert (await world.browser().fetch("/public/x")).status == 200
        await world.eventually(lambda: collector.requests)
        async with asyncio.timeout(2 * exporter.CLOSE_WITHIN + 3):
            await world.gateway.close()


async def test_it_is_tried_again_and_partial_success_counts(valkey_url, tmp_path, collector, monkeypatch):
    """[12.otel]: 503 and 429 are tried again; 400 is not; what the collector rejects is counted."""
    monkeypatch.setattr(exporter, "_FIRST_WAIT", 0.01)
    collector.statuses[:] = [503, 429]
    async with World(valkey_url, tmp_path, telemetry=telemetry(collector)) as world:
        browser = world.browser()

        async def figures() -> dict[str, float]:
            text = (await world.admin("GET", "/metrics")).text
            lines = [line for line in text.splitlines() if line.startswith("gateway_telemetry")]
            return {line.split("{")[0].split("telemetry_")[1]: float(line.split()[1]) for line in lines}

        await browser.fetch("/public/x")
        await world.eventually(collector.spans)
        assert len(collector.requests) == 3
        collector.statuses[:] = [400]
        await browser.fetch("/public/x")
        await world.eventually(lambda: len(collector.requests) == 4)
        collector.rejects = 2
        await browser.fetch("/public/x")
        await world.eventually(lambda: len(collector.spans()) == 6)
        for _ in range(100):
            told = await figures()
            if told["waiting"] == 0:
                break
            await asyncio.sleep(0.02)
        assert told == {"sent_total": 4.0, "dropped_total": 5.0, "waiting": 0.0}
    said = [each["message"] for each in world.lines if "telemetry" in str(each.get("message"))]
    assert said == ["telemetry is not taken", "telemetry is taken again"] * 2


async def test_header_fields_reach_the_collector_and_nobody_else(valkey_url, tmp_path, collector):
    """R16 [12.otel]: an API key is sent, and stands in no log."""
    section = telemetry(collector, headers={"X-Api-Key": "very-secret-key"}, logs={})
    async with World(valkey_url, tmp_path, telemetry=section) as world:
        await world.browser().fetch("/public/x")
        await world.eventually(collector.spans)
        collector.statuses[:] = [401, 401]
        await world.browser().fetch("/public/x")
        await world.gateway.close()
    assert {each.headers["X-Api-Key"] for each in collector.requests} == {"very-secret-key"}
    assert "very-secret-key" not in str(world.lines)
    assert "X-Api-Key" not in world.upstream.last().headers


async def test_reload_turns_it_on_and_off(valkey_url, tmp_path, collector):
    """[12.otel]: a reload takes it over, in both directions, and drops nothing that was recorded."""
    async with World(valkey_url, tmp_path) as world:
        browser = world.browser()
        await browser.fetch("/public/x", headers={"traceparent": TOLD})
        # off: it passes like any field
        assert world.upstream.last().headers["traceparent"] == TOLD
        plain = world.gateway.settings
        world.override["telemetry"] = telemetry(collector, logs={})
        world.gateway.reload(type(plain).model_validate(world.config() | {"admin": plain.admin}))
        await browser.fetch("/public/x", headers={"traceparent": TOLD})
        assert TRACE not in world.upstream.last().headers["traceparent"]
        world.gateway.reload(plain)
        await browser.fetch("/public/x", headers={"traceparent": TOLD})
        assert world.upstream.last().headers["traceparent"] == TOLD
        await world.eventually(lambda: len(collector.spans()) == 3)
        assert world.gateway.server.handler is world.gateway.pipeline
        assert 'gateway_telemetry_sent_total{signal="traces"}' in world.gateway.metrics.render()[0].decode()


async def test_a_tunnel_is_one_span(valkey_url, tmp_path, collector):
    """[12.otel]: a WebSocket's request ends with it."""
    async with World(valkey_url, tmp_path, telemetry=telemetry(collector)) as world:
        browser = world.browser()
        async with browser.session.ws_connect(world.base + "/public/ws") as socket:
            await socket.send_str("x")
            assert (await socket.receive()).data == "x"
            assert collector.spans() == []
        await world.eventually(lambda: len(collector.spans()) == 3)
    assert {attributes(span).get("http.response.status_code") for span in collector.spans()} == {101, None}


async def test_workers_and_supervisor_tell(collector):
    """[12.otel]: off, no process has loaded it; by a reload workers tell spans, the supervisor metrics."""
    async with Fleet(2) as fleet:
        processes = [fleet.process.pid, *(await fleet.pids()).values()]

        def loaded() -> set[bool]:
            # what encodes is an extension module
            return {"/google/_upb/" in Path(f"/proc/{pid}/maps").read_text() for pid in processes}

        assert loaded() == {False}
        fleet.write(telemetry={"endpoint": collector.url} | EVERYTHING)
        code, text = await fleet.command("reload")
        assert code == 0, text
        assert loaded() == {True}
        browser = fleet.browser()
        assert (await browser.fetch("/public/x")).status == 200
        await browser.close()
        fleet.process.terminate()
        assert await fleet.process.wait() == 0
    (span,) = [span for span in collector.spans() if span.kind == 2]
    assert span.name == "GET /public/"
    metrics = collector.metrics()
    assert metrics["gateway_workers_configured"].gauge.data_points[0].as_double == 2
    (point,) = metrics["gateway_requests"].sum.data_points
    assert point.as_double == 1
    started = {each.event_name or each.body.string_value for each in collector.records()}
    assert {"request", "ended"} <= started
    workers = {who.get("gateway.worker") for who in collector.resources()}
    assert None in workers
    assert workers & {0, 1}


def test_off_costs_nothing():
    """[12.otel]: without telemetry nothing of it is loaded, by a worker or by its supervisor.

    The store's client looks for OpenTelemetry's SDK by itself, which the extra does not bring.
    """
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import gateway.worker, gateway.app.gateway, gateway.supervision.supervisor, gateway.supervision.view
ours = ("opentelemetry", "google", "gateway.edge.telemetry.otlp", "gateway.pipeline.tracing")
print([name for name in sys.modules if name.startswith(ours)])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


async def test_off_loads_nothing_in_a_running_gateway(valkey_url, tmp_path):
    """[12.otel]: nor once requests are served: the data plane talks to the pipeline itself."""
    async with World(valkey_url, tmp_path) as world:
        assert (await world.browser().fetch("/public/x")).status == 200
        assert world.gateway.server.handler is world.gateway.pipeline
        assert world.gateway.pipeline.record == world.gateway.recorder.outcome


def test_without_the_extra_it_is_told(tmp_path: Path):
    """[12.otel]: configured and not installed is an error at load, which says what to install."""
    from tests.support.configuration import TREE

    written = (TREE / "config/gateway.yaml").read_text()
    path = tmp_path / "gateway.yaml"
    path.write_text(written + "\ntelemetry:\n  endpoint: http://127.0.0.1:4318\n  traces: {}\n")
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from pathlib import Path; from gateway.edge.configfile.load import load\n"
        "load(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert 'telemetry: needs the extra otel: pip install "token-gateway[otel]"' in done.stderr
