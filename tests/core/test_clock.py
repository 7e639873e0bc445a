"""A wall clock, and how it is set by another one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lamplighter.core.clock import WallClock
from lamplighter.testing import FakeClock

HOUR = timedelta(hours=1)


class Machine:
    """A machine's wall clock and stopwatch, both told how to go."""

    def __init__(self) -> None:
        self.wall = FakeClock()
        self.seconds = 100.0
        self.clock = WallClock(self.wall, lambda: self.seconds)

    def go_on(self, seconds: float) -> None:
        self.wall.advance(seconds)
        self.seconds += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_clock_that_nobody_set_shows_what_the_machine_does(machine: Machine) -> None:
    assert machine.clock() == machine.wall()
    machine.wall.advance(HOUR)
    assert machine.clock() == machine.wall()


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, timedelta()])
def test_a_clock_that_was_set_goes_on_from_there(machine: Machine, ahead: timedelta) -> None:
    truth = machine.wall() - ahead
    assert machine.clock.set_by(truth, asked=100.0, answered=100.0) == ahead
    machine.go_on(5)
    assert machine.clock() == truth + timedelta(seconds=5)


def test_a_jump_of_the_machines_clock_is_not_seen_once_it_was_set(machine: Machine) -> None:
    truth = machine.wall()
    machine.clock.set_by(truth, asked=100.0, answered=100.0)
    machine.wall.advance(HOUR)
    assert machine.clock() == truth
    assert machine.clock.set_by(truth, asked=100.0, answered=100.0) == timedelta()


def test_the_answer_counts_for_the_middle_of_the_way(machine: Machine) -> None:
    truth = machine.wall()
    machine.go_on(4)
    machine.clock.set_by(truth, asked=100.0, answered=104.0)
    assert machine.clock() == truth + timedelta(seconds=2)


def test_what_the_way_may_account_for_changes_nothing(machine: Machine) -> None:
    truth = machine.wall()
    machine.clock.set_by(truth, asked=100.0, answered=100.0)
    machine.go_on(4)
    ahead = machine.clock.set_by(truth + timedelta(seconds=1), asked=100.0, answered=104.0)
    assert ahead == timedelta(seconds=1)
    assert machine.clock() == truth + timedelta(seconds=4)


def test_a_clock_that_drifted_is_set_again(machine: Machine) -> None:
    truth = machine.wall()
    machine.clock.set_by(truth, asked=100.0, answered=100.0)
    machine.go_on(60)
    late = truth + timedelta(seconds=61)
    assert machine.clock.set_by(late, asked=160.0, answered=160.0) == timedelta(seconds=-1)
    assert machine.clock() == late
