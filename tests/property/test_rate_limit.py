"""Properties of the rate limit's arithmetic, for any traffic."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, compile_rate_limit, fields, judge

LIMITS = st.builds(
    lambda requests, per, burst: compile_rate_limit(
        RateLimitSettings(requests=requests, per=per, burst=burst), "any"
    ),
    st.integers(1, 1000),
    st.floats(0.1, 3600),
    st.none() | st.integers(1, 50),
)
STEPS = st.lists(st.integers(0, 3 * MICROSECONDS), min_size=1, max_size=60)


def arrivals(steps, start=10**15):
    now = start
    for step in steps:
        now += step
        yield now


@given(LIMITS, STEPS)
def test_no_window_lets_more_through_than_burst_and_rate(limit, steps):
    """Between any two moments at most the burst and what grew back in between may pass."""
    buckets = Buckets(limit)
    passed = [now for now in arrivals(steps) if buckets.take("k", now).wait is None]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window = passed[last] - passed[first]
            assert last - first + 1 <= limit.burst + window / limit.interval + 1e-9


@given(LIMITS, STEPS)
def test_nobody_is_refused_below_the_rate(limit, steps):
    """Whoever leaves one interval between requests is never refused."""
    buckets = Buckets(limit)
    assert all(
        buckets.take("k", now).wait is None for now in arrivals(limit.interval + step for step in steps)
    )


@given(LIMITS, STEPS)
def test_the_advice_is_true(limit, steps):
    """Whoever waits as told passes; whoever has something left may use it at once; whole after the reset."""
    buckets = Buckets(limit)
    for now in arrivals(steps):
        found = buckets.take("k", now)
        assert (found.wait is None) or found.remaining == 0
        if found.wait is not None:
            assert found.wait >= 1
            assert buckets.look("k", now + found.wait * MICROSECONDS).wait is None
        else:
            assert (buckets.look("k", now).wait is None) == (found.remaining > 0)
            assert 0 <= found.remaining < limit.burst
        whole = buckets.look("k", now + found.reset * MICROSECONDS)
        assert whole.remaining == limit.burst - 1


@given(LIMITS, STEPS)
def test_a_refusal_costs_nothing(limit, steps):
    """What is refused does not count: hammering does not put the next request off."""
    arrival = 0
    for now in arrivals(steps):
        found, moved = judge(limit, arrival, now)
        assert (moved == arrival) if found.wait is not None else (moved > arrival)
        arrival = moved


@given(LIMITS, st.lists(st.tuples(st.integers(0, 20), st.integers(0, MICROSECONDS)), max_size=150))
def test_forgetting_never_favours_anybody(limit, traffic):
    """With room for three of twenty callers, none passes that would not pass with room for all."""
    small, large = Buckets(limit, most=3), Buckets(limit)
    now, passed = 10**15, Counter()
    history: dict[str, list[int]] = {}
    for caller, step in traffic:
        now += step
        key = str(caller)
        if small.take(key, now).wait is None:
            passed[key] += 1
            history.setdefault(key, []).append(now)
        large.take(key, now)
        assert len(small) <= 3
    for times in history.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                most = limit.burst + (times[last] - times[first]) / limit.interval + 1e-9
                assert last - first + 1 <= most


@settings(max_examples=50)
@given(LIMITS, st.integers(1, 30), st.integers(10, 200))
def test_a_flood_of_newcomers_gives_no_fresh_start(limit, most, newcomers):
    """Who has used its burst up stays limited while any number of others come and go."""
    buckets, now = Buckets(limit, most=most), 10**15
    while buckets.take("victim", now).wait is None:
        pass
    for index in range(newcomers):
        buckets.take(f"other {index}", now)
    assert buckets.look("victim", now).wait is not None
    assert len(buckets) <= most


@given(LIMITS, STEPS)
def test_counting_without_asking_stays_within_a_burst(limit, steps):
    """What passed elsewhere is counted, and never shuts anybody out for longer than a burst takes to fill."""
    buckets = Buckets(limit)
    for now in arrivals(steps):
        buckets.count("k", now)
        assert buckets.look("k", now + limit.span).remaining == limit.burst - 1


@given(LIMITS, STEPS, st.text(max_size=40))
def test_fields_are_structured(limit, steps, name):
    """Both fields are lists of one string with integer parameters (RFC 9651), whatever a route is called."""
    limit = compile_rate_limit(RateLimitSettings(requests=3, per=10.0), name)
    buckets = Buckets(limit)
    for now in arrivals(steps):
        (policy_name, policy), (state_name, state) = fields(limit, buckets.take("k", now))
        assert (policy_name, state_name) == (b"RateLimit-Policy", b"RateLimit")
        for value in (policy, state):
            assert value.isascii()
            assert all(0x20 <= byte < 0x7F for byte in value)
            assert value.startswith(b'"')
