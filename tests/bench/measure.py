"""What a round yields, and how rounds become one figure: medians, pairwise ratios, void rows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

GENERATOR_SATURATED = 0.97
PROXY_SATURATED = 0.93
MOST_FOREIGN = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender.

    ``primary`` is what is compared, ``beside`` what stands beside it; the scenario names their units.
    ``void`` says why the round counts for nothing, or is empty. Shares are of one core, 0 to 1.
    """

    primary: float
    beside: float = 0.0
    void: str = ""
    proxy_share: float = 0.0
    generator_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a round of load took: wall seconds, CPU seconds of the proxy, busy share of the generator's core.

    ``load_cpu`` are the CPU seconds of the load itself, generator and upstreams.
    """

    seconds: float
    proxy_cpu: float
    generator_share: float
    load_cpu: float | None = None

    @property
    def proxy_share(self) -> float:
        """The share of its core that the proxy used."""
        return self.proxy_cpu / self.seconds if self.seconds > 0 else 0.0

    @property
    def foreign_share(self) -> float:
        """The share of the generator's core that went to work which is not the benchmark's."""
        if self.load_cpu is None or self.seconds <= 0:
            return 0.0
        return max(0.0, self.generator_share - self.load_cpu / self.seconds)


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the ratio of two contenders, or on one contender's own figure (``against`` None).

    ``beside`` says that the bound is on the figure that stands beside the primary one.
    """

    subject: str
    against: str | None
    bound: float
    at_least: bool = True
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and the value that was found for it; None where one of the two did not run."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the bound holds; None where nothing was found."""
        if self.value is None:
            return None
        return self.value >= self.target.bound if self.target.at_least else self.value <= self.target.bound


def saturation(usage: Usage) -> str:
    """Return why a round of closed-loop load is void: the generator's core was full before the proxy's."""
    if usage.generator_share < GENERATOR_SATURATED or usage.proxy_share >= PROXY_SATURATED:
        return ""
    foreign = usage.foreign_share
    also = f"; other work of the machine took {foreign:.0%} of it" if foreign > MOST_FOREIGN else ""
    return (
        f"the load generator's core saturated first "
        f"({usage.generator_share:.0%}, the proxy's {usage.proxy_share:.0%}{also})"
    )


def throughput(amount: float, usage: Usage, *, errors: str = "", saturable: bool = True) -> Sample:
    """Return the sample of a round that moved ``amount`` of something: per CPU second, and per second."""
    void = errors or (saturation(usage) if saturable else "")
    if not void and (amount <= 0 or usage.proxy_cpu <= 0):
        void = "nothing was measured"
    return Sample(
        primary=amount / usage.proxy_cpu if usage.proxy_cpu > 0 else 0.0,
        beside=amount / usage.seconds if usage.seconds > 0 else 0.0,
        void=void,
        proxy_share=usage.proxy_share,
        generator_share=usage.generator_share,
    )


def counted(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples that are not void."""
    return [sample for sample in samples if not sample.void]


def void_reason(samples: Sequence[Sample]) -> str:
    """Return why a contender's figure is void: more than half of its rounds are. Empty where it counts."""
    reasons = [sample.void for sample in samples if sample.void]
    return reasons[0] if 2 * len(reasons) > len(samples) else ""


def middle(samples: Sequence[Sample], *, beside: bool = False) -> float | None:
    """Return the median of the samples that count, or None where the figure is void or absent."""
    good = counted(samples)
    if not good or void_reason(samples):
        return None
    return median(sample.beside if beside else sample.primary for sample in good)


def spread(samples: Sequence[Sample]) -> tuple[float, float] | None:
    """Return the least and the greatest primary value that count."""
    values = [sample.primary for sample in counted(samples)]
    return (min(values), max(values)) if values else None


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], *, beside: bool = False) -> float | None:
    """Return the median of the ratios within each round, which a slow minute of the machine does not bend."""
    if void_reason(ours) or void_reason(theirs):
        return None
    pairs = [
        (a.beside, b.beside) if beside else (a.primary, b.primary)
        for a, b in zip(ours, theirs, strict=False)
        if not a.void and not b.void
    ]
    quotients = [a / b for a, b in pairs if b > 0]
    return median(quotients) if quotients else None


def judge(target: Target, samples: Mapping[str, Sequence[Sample]]) -> Verdict:
    """Return what was found for a target."""
    ours = samples.get(target.subject)
    if ours is None:
        return Verdict(target, None)
    if target.against is None:
        return Verdict(target, middle(ours, beside=target.beside))
    theirs = samples.get(target.against)
    return Verdict(target, ratio(ours, theirs, beside=target.beside) if theirs is not None else None)
