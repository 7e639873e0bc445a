"""The life of a job as data: its arrows leave no state out and lead nowhere else."""

from __future__ import annotations

import typing

import pytest

from lamplighter.core.model import ATTEMPT_ENDS, ENDED, LIVE, MOVES, Priority, State, Transition, Verb

ARROWS = [*ATTEMPT_ENDS.values(), *MOVES.values()]


def test_every_state_is_either_live_or_ended() -> None:
    assert set(State) == LIVE | ENDED
    assert not LIVE & ENDED


def test_every_verb_has_its_arrow() -> None:
    assert set(ATTEMPT_ENDS) == set(typing.get_args(Verb))


@pytest.mark.parametrize("arrow", ATTEMPT_ENDS.values())
def test_only_a_running_attempt_can_end(arrow: Transition) -> None:
    assert arrow.sources == {State.RUNNING}


def test_every_state_can_be_reached_and_left() -> None:
    assert {arrow.target for arrow in ARROWS} == set(State)
    assert {source for arrow in ARROWS for source in arrow.sources} == set(State)


def test_what_has_ended_moves_only_by_an_operators_hand() -> None:
    assert [name for name, arrow in MOVES.items() if arrow.sources & ENDED] == ["be retried", "be held again"]


def test_only_failed_attempts_are_spent() -> None:
    assert {verb for verb, arrow in ATTEMPT_ENDS.items() if arrow.spends} == {"fail", "retry"}


def test_a_higher_priority_is_a_higher_number() -> None:
    assert Priority.LOW < Priority.NORMAL < Priority.HIGH < Priority.URGENT
