"""W3C Trace Context: what is read is what was written, and of everything else nothing remains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.edge.telemetry.otlp.spans import Tracer
from gateway.syntax.trace_context import MOST_STATE, TraceContext, read, write

GOOD = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", GOOD.upper(), GOOD + b"-", GOOD + b"-x", GOOD[:-1], GOOD + b"0", b" " + GOOD,
        GOOD + b"\n",
        b"ff" + GOOD[2:], b"0x" + GOOD[2:], GOOD.replace(b"4bf92f3577b34da6a3ce929d0e0e4736", b"0" * 32),
        GOOD.replace(b"00f067aa0ba902b7", b"0" * 16), b"cc" + GOOD[2:] + b".",
        b"cc" + GOOD[2:] + b"-" + b"a" * 300, GOOD.replace(b"-", b"_"), "\uff10\uff10".encode() + GOOD[2:],
    ],
)  # fmt: skip
def test_what_is_no_context(value):
    """[12.otel]: it is as if it were absent (section 3.2.3)."""
    assert read([value], [b"a=b"]) is None


def test_none_or_several():
    """[12.otel]: with two nobody knows which."""
    assert read([], [b"a=b"]) is None
    assert read([GOOD, GOOD], []) is None
    later = read([b"cc" + GOOD[2:] + b"-what-the-future.holds"], [])
    assert later.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert read([GOOD[:-2] + b"ff"], []).flags == 3


STATES = {
    b"a=b": b"a=b",
    b" a=b ,\tc=d,,": b"a=b,c=d",
    b"fw529a3039@dt=FfAAAA,vendor*/_-=x y": b"fw529a3039@dt=FfAAAA,vendor*/_-=x y",
    b"a=b,a=c": b"",
    b"A=b": b"",
    b"a=": b"",
    b"a": b"",
    b"=b": b"",
    b"a=b=c": b"",
    b"a=\xc3\xa4": b"",
    b"a=b\r\nX-Forwarded-User: root": b"",
    b"a=" + b"x" * 256: b"a=" + b"x" * 256,
    b"a=" + b"x" * 257: b"",
    b",".join(b"k%d=v" % number for number in range(32)): b",".join(
        b"k%d=v" % number for number in range(32)
    ),
    b",".join(b"k%d=v" % number for number in range(33)): b"",
    b",".join(b"k%d=%b" % (number, b"v" * 200) for number in range(6)): b"",
}


@pytest.mark.parametrize("sent", STATES, ids=range(len(STATES)))
def test_lists_of_vendors(sent):
    """[12.otel]: a list that cannot be read is dropped, the rest stands (section 3.3)."""
    assert read([GOOD], [sent]).state == STATES[sent]


def test_a_list_may_come_in_parts():
    """[12.otel]: in their order (section 3.3.1)."""
    assert read([GOOD], [b"a=b", b"c=d"]).state == b"a=b,c=d"
    assert read([GOOD], [b"a=b"] * 2).state == b""


@given(st.binary(max_size=400), st.lists(st.binary(max_size=1200), max_size=3))
def test_garbage(parent, states):
    """[12.otel]: no octets break it, and none that would end a line go on."""
    for each in (parent, GOOD):
        context = read([each], states)
        if context is not None:
            told = write(context)
            assert len(told) < MOST_STATE + 100
            assert told.replace(b"\r\ntracestate: ", b"", 1).isascii()
            assert told.count(b"\n") == bool(context.state)


ids = st.binary(min_size=8, max_size=8).filter(any)


@given(ids, ids, ids, st.integers(0, 3))
def test_what_is_written_is_read_by_us_and_others(high, low, span, flags):
    """[12.otel]: by OpenTelemetry's own propagator too."""
    context = TraceContext(high + low, span, flags, b"a=b,c@d=e")
    fields = [line.split(b": ") for line in write(context).split(b"\r\n")]
    assert read([fields[0][1]], [fields[1][1]]) == context
    carrier = {name.decode(): value.decode() for name, value in fields}
    other = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    assert other.trace_id == int.from_bytes(high + low, "big")
    assert other.span_id == int.from_bytes(span, "big")
    assert other.trace_flags.sampled == context.is_sampled
    assert dict(other.trace_state) == {"a": "b", "c@d": "e"}


@pytest.mark.parametrize("sample", [0.0, 0.1, 0.5, 1.0])
def test_traces_are_chosen_as_others_choose_them(sample):
    """[12.otel]: by the trace id, so that whoever asks a second time gets the same answer."""
    tracer, theirs = Tracer(sample), TraceIdRatioBased(sample)
    chosen = 0
    for _ in range(400):
        trace = tracer.begin(None, 0.0)
        number = int.from_bytes(trace.trace_id, "big")
        assert trace.is_sampled == theirs.should_sample(None, number, "x").decision.is_sampled()
        chosen += trace.is_sampled
    assert chosen == {0.0: 0, 1.0: 400}.get(sample, chosen)
    assert 0.0 < sample < 1.0 or chosen in (0, 400)
