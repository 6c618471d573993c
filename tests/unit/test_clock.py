"""The one clock of the process: no step of the wall counts before it has lasted (R67)."""

import time

import pytest

from gateway.edge.clock import CLOCK, LARGEST, LASTING, SteadyClock, since_boot

START = 1_800_000_000.0


class Machine:
    """A wall that is set, and time that passes."""

    def __init__(self) -> None:
        self.passed = 50.0
        self.set_by = 0.0
        self.clock = SteadyClock(lambda: START + self.passed - 50.0 + self.set_by, lambda: self.passed)

    def after(self, seconds: float) -> float:
        """Let time pass; return by how much the clock is ahead of it."""
        for _ in range(10):
            self.passed += seconds / 10
            told = self.clock()
        return round(told - (START + self.passed - 50.0), 6)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("step", [7200.0, -7200.0, 2.5, -2.5, 1e9, -1e9])
def test_r67_a_step_counts_once_it_has_lasted(machine: Machine, step: float):
    """R67 [1.5]: until then time goes on as if nothing were; then the wall is right."""
    machine.set_by = step
    assert machine.after(LASTING - 0.5) == 0.0
    assert machine.clock.held_back == pytest.approx(step)
    assert machine.after(2.0) == pytest.approx(step)
    assert machine.clock.held_back == 0.0
    assert machine.clock.steps == 2


@pytest.mark.parametrize("step", [7200.0, -7200.0])
def test_r67_a_step_that_goes_away_never_was(machine: Machine, step: float):
    """R67 [1.5]: two hours ahead for 2.5 s, again and again: each is told, none counts."""
    for turn in range(1, 6):
        machine.set_by = step
        assert machine.after(2.5) == 0.0
        machine.set_by = 0.0
        assert machine.after(9.0) == 0.0
        assert machine.clock.steps == 2 * turn


def test_r67_another_step_begins_its_own_time(machine: Machine):
    """R67 [1.5]: what lasts is one value, not trouble in general."""
    for turn in range(1, 6):
        machine.set_by = 3600.0 * turn
        assert machine.after(8.0) == 0.0
    assert machine.after(3.0) == 18_000.0


@pytest.mark.parametrize("drift", [1.9, -1.9, 0.001, -0.5])
def test_r67_small_differences_are_followed_at_once(machine: Machine, drift: float):
    """R67 [1.5]: a time server that slews, or steps by less than 2 s."""
    machine.set_by = drift
    assert machine.after(0.1) == pytest.approx(drift)
    assert machine.clock.steps == 0


@pytest.mark.parametrize("step", [1.9, -1.9, 0.3])
def test_r67_many_small_steps_are_a_large_one(machine: Machine, step: float):
    """R67 [1.5]: whoever sets the clock by hours a second at a time is not followed there."""
    for _ in range(30):
        machine.set_by += step
        assert abs(machine.after(0.2)) <= LARGEST
    machine.set_by = 0.0
    assert machine.after(0.2) == 0.0
    machine.set_by = 30 * step
    machine.after(LASTING)
    assert machine.after(2.0) == pytest.approx(30 * step)


def test_r67_a_clock_that_is_slewed_is_followed(machine: Machine):
    """R67 [1.5]: a tenth of a second in each, for a minute: never astray by more than that, and no step."""
    for _ in range(60):
        machine.set_by += 0.1
        assert machine.after(1.0) == pytest.approx(machine.set_by)
    assert machine.clock.steps == 0


def test_r67_a_machine_that_slept_has_the_right_time_at_once(machine: Machine):
    """R67 [1.5]: sleep passes on both clocks, so it is no step."""
    machine.passed += 86_400.0
    assert machine.after(0.1) == 0.0
    assert machine.clock.steps == 0


def test_r67_nobody_asked_while_it_stepped(machine: Machine):
    """R67 [1.5]: lasting begins when it is first seen, however long ago it was."""
    machine.set_by = 7200.0
    machine.passed += 3600.0
    assert machine.after(5.0) == 0.0
    assert machine.after(6.0) == 7200.0


def test_the_clock_of_the_process():
    """It tells the wall's time, and what it goes by never goes back."""
    assert abs(CLOCK() - time.time()) < 5
    assert since_boot() <= since_boot()
