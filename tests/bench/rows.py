"""What a row of the benchmark is: who takes part, what a round is, what is aimed at, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.bench.measure import Sample, Target, Verdict, judge
from tests.bench.rig import Rig

PER_CPU, PER_SECOND = "requests per CPU second", "requests/s"


@dataclass(slots=True)
class Context:
    """What a round may use: the rig, the round's number and length, and the rows that came before."""

    rig: Rig
    number: int
    seconds: float
    rows: "Mapping[str, Row]"

    @property
    def is_warm_up(self) -> bool:
        """Whether nothing of it counts."""
        return self.number < 0


Round = Callable[[Context], Sample]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row. ``rounds`` None means as many as the run has. ``primary`` and ``beside`` name the units."""

    key: str
    title: str
    contenders: Mapping[str, Round]
    targets: tuple[Target, ...]
    primary: str = PER_CPU
    beside: str = PER_SECOND
    rounds: int | None = None
    is_smaller_better: bool = False
    is_quick: bool = False
    skipped: str = ""


@dataclass(slots=True)
class Row:
    """What came of a scenario: samples by contender, and why others are missing."""

    scenario: Scenario
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def verdicts(self) -> list[Verdict]:
        """Return what was found for each target."""
        return [judge(target, self.samples) for target in self.scenario.targets]


def narrowed(scenario: Scenario, names: tuple[str, ...]) -> Scenario:
    """Return the scenario with only these contenders, and the targets among them."""
    return replace(
        scenario,
        contenders={name: each for name, each in scenario.contenders.items() if name in names},
        targets=tuple(
            target for target in scenario.targets if target.against is None or target.against in names
        ),
    )
