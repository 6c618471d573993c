"""What the section ``telemetry`` may say."""

from pathlib import Path

import pytest
import yaml

from gateway.edge.configfile.load import ConfigurationError, parse
from tests.support.configuration import TREE, environment

HERE = "http://127.0.0.1:4318"


def loaded(**telemetry):
    """Load the smallest configuration with this section."""
    data = yaml.safe_load((TREE / "config/minimal.yaml").read_text()) | {"telemetry": telemetry}
    return parse(yaml.safe_dump(data).encode(), "gateway.yaml", Path("/"), environment())


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"endpoint": HERE}, "telemetry: nothing is sent"),
        ({"traces": {}}, "telemetry.traces.endpoint: neither here nor in telemetry.endpoint"),
        ({"endpoint": "collector:4318", "logs": {}}, "telemetry.endpoint: "),
        ({"endpoint": f"{HERE}/?a=b", "logs": {}}, "telemetry.endpoint: "),
        ({"endpoint": HERE, "metrics": {"endpoint": "ftp://x"}}, "telemetry.metrics.endpoint: "),
        ({"endpoint": HERE, "metrics": {"interval": "10ms"}}, "telemetry.metrics.interval: "),
        ({"endpoint": HERE, "traces": {"sample": 1.5}}, "telemetry.traces.sample: "),
        ({"endpoint": HERE, "traces": {"sample": True}}, "telemetry.traces.sample: "),
        ({"endpoint": HERE, "traces": {"continue_from": "all"}}, "telemetry.traces.continue_from: "),
        ({"endpoint": HERE, "traces": {}, "headers": {"A B": "c"}}, "not the name of a header field"),
        ({"endpoint": HERE, "traces": {}, "headers": {"Host": "c"}}, "the message says this itself"),
        ({"endpoint": HERE, "traces": {}, "headers": {"X": "ä"}}, "a value is printable ASCII"),
        ({"endpoint": HERE, "traces": {}, "attributes": {"Service": "c"}}, "write a name such as"),
        ({"endpoint": HERE, "traces": {}, "attributes": {"service.name": "c"}}, "says this itself"),
        ({"endpoint": HERE, "traces": {}, "ca_file": "/absent.pem"}, "telemetry.ca_file: "),
    ],
)
def test_what_is_refused(section, told):
    """[12.otel]: each with its path."""
    with pytest.raises(ConfigurationError) as error:
        loaded(**section)
    assert told in str(error.value)


def test_what_is_warned_of():
    """[12.otel]: what goes over a network in the clear, and strangers who choose what is recorded."""
    assert not loaded(endpoint=HERE, traces={}, metrics={}, logs={}).warnings
    told = map(str, loaded(endpoint="http://otel.example.com", traces={"continue_from": "anybody"}).warnings)
    assert [each.partition(": ")[0] for each in told] == [
        "telemetry.traces",
        "telemetry.traces.continue_from",
    ]
    assert not loaded(endpoint="https://otel.example.com", traces={}, headers={"X-Key": "k"}).warnings
    (warned,) = loaded(endpoint="http://otel.example.com", logs={}, headers={"X-Key": "k"}).warnings
    assert "can read the header fields" in str(warned)


def test_a_trace_cannot_tell_who_is_calling():
    """[12.otel]: no setting gives these fields another meaning."""
    data = yaml.safe_load((TREE / "config/minimal.yaml").read_text()) | {
        "identity_headers": {"traceparent": "sub"}
    }
    with pytest.raises(ConfigurationError, match="another meaning"):
        parse(yaml.safe_dump(data).encode(), "gateway.yaml", Path("/"), environment())
