"""Medians, pairwise ratios, void rounds, targets."""

import pytest

from tests.bench.measure import (
    Sample,
    Target,
    Usage,
    judge,
    middle,
    ratio,
    saturation,
    spread,
    throughput,
    void_reason,
)


def samples(*values: float) -> list[Sample]:
    return [Sample(value, value * 2) for value in values]


VOID = Sample(1e9, void="saturated")


def test_the_median_is_of_the_rounds_that_count():
    """One void round of three is left out, however large its figure."""
    assert middle([*samples(10, 20), VOID]) == 15
    assert middle([*samples(10, 20), VOID], beside=True) == 30
    assert spread([*samples(10, 20), VOID]) == (10, 20)


def test_a_row_of_mostly_void_rounds_is_void():
    """More than half void, and there is no figure and no ratio, only the reason."""
    mostly = [*samples(10), VOID, VOID]
    assert void_reason(mostly) == "saturated"
    assert middle(mostly) is None
    assert ratio(mostly, samples(1, 1, 1)) is None
    assert ratio(samples(1, 1, 1), mostly) is None
    assert void_reason([*samples(10), VOID]) == ""


def test_nothing_measured_is_no_figure():
    """An empty row has neither median nor spread nor ratio."""
    assert middle([]) is None
    assert spread([]) is None
    assert ratio([], samples(1)) is None


def test_ratios_are_taken_within_the_rounds():
    """A machine that slows down by half in the middle bends both figures, but not their ratio."""
    ours, theirs = samples(30, 30, 15, 15, 15), samples(20, 20, 10, 10, 10)
    assert ratio(ours, theirs) == pytest.approx(1.5)


def test_a_void_round_takes_its_pair_with_it():
    """The partner of a void round is not compared with another round's."""
    assert ratio([VOID, *samples(30, 40)], samples(1, 10, 20)) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("proxy", "generator", "is_void"),
    [(0.99, 0.99, False), (0.80, 0.99, True), (0.80, 0.90, False), (0.99, 0.40, False)],
)
def test_a_round_is_void_where_the_load_is_full_first(proxy, generator, is_void):
    """The generator's core full and the proxy's not: then the figure is the generator's."""
    assert bool(saturation(Usage(2.0, proxy * 2.0, generator))) is is_void


def test_a_void_round_says_whose_work_filled_the_core():
    """Half of the core went to something that is no part of the benchmark: the reason says so."""
    assert "other work of the machine took 50%" in saturation(Usage(2.0, 0.6, 1.0, load_cpu=1.0))
    assert "other work" not in saturation(Usage(2.0, 0.6, 1.0, load_cpu=1.9))


def test_throughput_counts_per_cpu_second_and_per_second():
    """1,000 requests in 2 s with half a CPU second are 2,000 for each CPU second and 500 for each second."""
    sample = throughput(1000, Usage(2.0, 0.5, 0.2))
    assert (sample.primary, sample.beside, sample.proxy_share, sample.void) == (2000, 500, 0.25, "")


@pytest.mark.parametrize(
    ("amount", "cpu", "errors"), [(0, 0.5, ""), (10, 0.0, ""), (1000, 0.5, "3 answers were no success")]
)
def test_a_round_with_errors_or_without_work_is_void(amount, cpu, errors):
    """Refusals are fast: a round that holds any error counts for nothing."""
    assert throughput(amount, Usage(1.0, cpu, 0.1), errors=errors).void


def test_targets_are_judged_by_ratio_or_by_value():
    """At least and at most, against another and alone, on either figure; absent is neither met nor missed."""
    rows = {"gateway": samples(9, 9), "nginx": samples(10, 10)}
    assert judge(Target("gateway", "nginx", 0.9), rows).is_met is True
    assert judge(Target("gateway", "nginx", 1.0), rows).is_met is False
    assert judge(Target("gateway", "nginx", 2.0, at_least=False), rows).is_met is True
    assert judge(Target("gateway", None, 8.0, at_least=False), rows).is_met is False
    assert judge(Target("gateway", None, 18.0, at_least=False, beside=True), rows).is_met is True
    assert judge(Target("gateway", "envoy", 1.0), rows).is_met is None
    assert judge(Target("envoy", None, 1.0), rows).is_met is None
