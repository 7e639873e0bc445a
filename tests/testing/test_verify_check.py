"""The judge is able to fail: each promise is seen to be broken in a history that breaks it, and in no other."""

from __future__ import annotations

import pytest
from tests.testing.story import Story, number_of

from lamplighter.core.model import State
from lamplighter.testing.verify.check import check, doubled, lost_with_the_last_moments
from lamplighter.testing.verify.recovery import recoveries
from lamplighter.testing.verify.tasks import HELD, LINKS

SHORT = number_of("short", rolled_back=False)
DOOMED = number_of("doomed")
CHAIN = number_of("chain")
GROUP = number_of("group")
FORGOTTEN = number_of("forgotten")
SCHEDULED = number_of("scheduled")
PERIOD = number_of("period", holds=HELD)


def broken(story: Story) -> dict[str, list[str]]:
    """The promises that were broken, with their cases."""
    return {name: cases for name, cases in check(story.history).items() if cases}


def only(story: Story) -> tuple[str, str]:
    """The one promise that was broken, and its one case."""
    [(name, [case])] = broken(story).items()
    return name, case


@pytest.fixture
def story() -> Story:
    """One job from its add to its end."""
    return Story().whole("j0", SHORT)


def test_a_history_in_which_all_went_well_breaks_no_promise(story: Story) -> None:
    story.added("d", DOOMED).tell("claimed", "d", 1).tell("begin", "d", 1, number=DOOMED)
    story.accepted("d", verb="fail").holds("d", DOOMED, State.FAILED)
    story.added("f", FORGOTTEN).ran("f", FORGOTTEN).accepted("f")
    for step in range(LINKS):
        job = f"c{step}"
        story.added(job, CHAIN, step=step).ran(job, CHAIN, step=step).accepted(job).holds(job, CHAIN)
    story.slot(1, "s1").slot(2, "s2")
    assert broken(story) == {}


def test_an_acknowledged_job_that_never_ran_is_lost(story: Story) -> None:
    story.added("j1", SHORT)
    assert only(story) == ("lost", "j1 (short) was added and never ran to its end")


def test_a_job_that_is_said_to_be_done_without_its_effect_is_lost(story: Story) -> None:
    story.added("j1", SHORT).tell("claimed", "j1", 1).tell("begin", "j1", 1, number=SHORT).accepted("j1")
    story.holds("j1", SHORT)
    assert only(story) == ("lost", "j1 (short) was added and never ran to its end")


def test_a_job_that_ran_but_is_not_in_the_store_any_more_is_lost(story: Story) -> None:
    del story.views["j0"]
    assert only(story) == ("lost", "j0 (short) was added and is not in the store")


def test_a_chain_whose_successor_never_ran_is_lost(story: Story) -> None:
    story.whole("c0", CHAIN)
    assert only(story) == ("lost", "c0 (chain) ran, but its successor 1 never did")


def test_a_slot_without_a_job_is_lost(story: Story) -> None:
    story.slot(1, "s1").slot(3, "s3")
    assert only(story) == ("lost", "no job was made for the slots between 00:00:01 and 00:00:03")


def test_an_add_that_raised_may_be_there_or_not(story: Story) -> None:
    story.tell("asked", who="e1", number=SHORT).tell("doubtful", who="e1", number=SHORT)
    assert broken(story) == {}
    story.ran("j1", SHORT).accepted("j1").holds("j1", SHORT)
    assert broken(story) == {}


def test_a_job_that_nobody_added_is_a_ghost(story: Story) -> None:
    story.ran("j1", SHORT).accepted("j1").holds("j1", SHORT)
    assert only(story) == ("ghosts", "j1 is there, though nobody added it")


def test_a_job_whose_transaction_was_rolled_back_is_a_ghost(story: Story) -> None:
    story.tell("asked", who="e1", number=SHORT).tell("withdrawn", "j1", who="e1", number=SHORT)
    assert broken(story) == {}
    story.holds("j1", SHORT)
    assert only(story) == ("ghosts", "j1 is there, though the transaction that added it was rolled back")


def test_a_second_effect_is_excused_by_a_fault_that_met_its_first_attempt(story: Story) -> None:
    story.added("j1", SHORT).ran("j1", SHORT, 1, "w1").fault("kill", "w1")
    story.ran("j1", SHORT, 2, "w2").accepted("j1", 2, "w2").holds("j1", SHORT)
    assert broken(story) == {}
    [one] = doubled(story.history)
    assert one.excuse is not None
    assert (one.job, one.excuse.kind) == ("j1", "kill")


@pytest.mark.parametrize(
    "fault", [("kill", "w3"), ("block",)], ids=["one of another worker", "one that excuses nothing"]
)
def test_a_second_effect_is_not_excused_by_just_any_fault(story: Story, fault: tuple[str, ...]) -> None:
    story.added("j1", SHORT).ran("j1", SHORT, 1, "w1").fault(*fault, excuses=fault[0] != "block")
    story.ran("j1", SHORT, 2, "w2").accepted("j1", 2, "w2").holds("j1", SHORT)
    name, case = only(story)
    assert name == "doubled without cause"
    assert case == "j1 had its effect again without a fault meanwhile (fences 1 and 2)"


def test_nothing_excuses_an_effect_after_the_end_was_accepted(story: Story) -> None:
    story.fault("kill", "w1").ran("j0", SHORT, 2, "w2").fault("kill", "w1")
    name, case = only(story)
    assert name == "doubled without cause"
    assert case == "j0 had its effect again after the store had accepted its end (fences 1 and 2)"


def test_a_second_effect_is_excused_where_the_first_attempt_was_handed_back(story: Story) -> None:
    story.added("j1", SHORT).ran("j1", SHORT, 1, "w1").accepted("j1", 1, "w1", "release")
    story.ran("j1", SHORT, 2, "w2").accepted("j1", 2, "w2").holds("j1", SHORT)
    [one] = doubled(story.history)
    assert one.excuse is not None
    assert one.excuse.kind == "handed back"


def test_what_an_operator_cancelled_is_neither_lost_nor_a_false_dead_letter(story: Story) -> None:
    story.added("j1", SHORT).tell("unwanted", "j1", who="operator").holds("j1", SHORT, State.CANCELLED)
    assert {name: cases for name, cases in check(story.history).items() if cases} == {}


def test_two_effects_under_one_fence_are_not_excused(story: Story) -> None:
    story.fault("cut").tell("end", "j0", 1, "w2", number=SHORT)
    assert only(story) == ("doubled without cause", "j0 had its effect 2 times under one fence (1)")


def test_an_end_that_is_accepted_from_a_worker_that_lost_the_job_is_a_zombies(story: Story) -> None:
    story.added("j1", SHORT).ran("j1", SHORT, 1, "w1").fault("stop", "w1").tell("claimed", "j1", 2, "w2")
    story.tell("asked", who="e1", number=SHORT).tell("doubtful", who="e1", number=SHORT)  # time passes
    story.accepted("j1", 1, "w1").holds("j1", SHORT)
    assert only(story) == ("zombies", "j1: the end of attempt 1 was accepted while w2 had attempt 2")


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.RUNNING])
def test_a_job_that_has_not_ended_is_stuck(story: Story, state: State) -> None:
    story.added("j1", SHORT).holds("j1", SHORT, state)
    assert only(story) == ("stuck", f"j1 (short) is still {state}")


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_job_that_ended_as_failed_though_it_never_fails_is_a_false_dead_letter(story: Story, state: State) -> None:
    story.added("j1", SHORT).holds("j1", SHORT, state)
    assert only(story) == ("false dead letters", f"j1 (short) is {state}: no reason")


def test_a_job_that_is_done_though_it_always_fails_is_lost(story: Story) -> None:
    story.added("d", DOOMED).tell("claimed", "d", 1).accepted("d").holds("d", DOOMED)
    assert only(story) == ("lost", "d (doomed) is done, though it always fails")


def test_a_job_that_began_before_it_was_due_was_early(story: Story) -> None:
    story.tell("added", "j1", who="e1", number=SCHEDULED, since=story.now + 10).tell("asked", number=SCHEDULED)
    story.ran("j1", SCHEDULED).accepted("j1").holds("j1", SCHEDULED)
    name, case = only(story)
    assert name == "early"
    assert case.startswith("j1 began ")


def test_two_slots_of_one_moment_are_doubled(story: Story) -> None:
    story.slot(1, "s1").slot(1, "other")
    assert only(story) == ("slots doubled", "2 jobs were made for the slot 00:00:01")


def test_a_key_that_two_jobs_held_at_once_is_shared(story: Story) -> None:
    story.added("g1", GROUP).added("g2", GROUP)
    for job in ("g1", "g2"):
        story.ran(job, GROUP).accepted(job).holds(job, GROUP)
    name, case = only(story)
    assert name == "shared keys"
    assert case.startswith("g2 was given the key 'group:")


def test_a_key_that_is_still_held_is_left_over(story: Story) -> None:
    story.keys["group:3"] = False
    assert only(story) == ("leftovers", "the key 'group:3' is still held")


def test_a_key_that_should_outlive_its_job_may_not_be_free(story: Story) -> None:
    story.whole("p", PERIOD)
    story.keys[f"period:{PERIOD}"] = False
    assert broken(story) == {}
    story.keys[f"period:{PERIOD}"] = True
    assert only(story) == ("leftovers", f"the key 'period:{PERIOD}' is free, though p holds it for 3600 s")


def test_a_job_that_was_not_to_be_kept_is_left_over(story: Story) -> None:
    story.whole("f", FORGOTTEN)
    assert only(story) == ("leftovers", "f (forgotten) is still in the store, though it was not to be kept")


def test_what_a_store_finds_left_over_and_processes_that_ended_count(story: Story) -> None:
    story.leftovers.append("a session is still open")
    story.ended_alone.append("w1 ended by itself")
    assert broken(story) == {
        "leftovers": ["a session is still open"],
        "crashed workers": ["w1 ended by itself"],
    }


def test_what_a_store_may_lose_counts_apart(story: Story) -> None:
    story.added("j1", SHORT).fault("server-kill", loses=2.0)
    assert broken(story) == {}
    assert lost_with_the_last_moments(story.history) == 1


def test_a_store_may_lose_no_more_than_its_last_moments(story: Story) -> None:
    story.added("j1", SHORT).whole("j2", SHORT).fault("server-kill", loses=2.0)
    assert only(story) == ("lost", "j1 (short) was added and never ran to its end")


def test_recovery_is_told_from_the_fault_until_the_job_went_on(story: Story) -> None:
    story.added("j1", SHORT).tell("claimed", "j1", 1).fault("kill", "w1")
    story.rescues["j1", 1] = story.now + 1
    story.ran("j1", SHORT, 2, "w2").accepted("j1", 2, "w2").holds("j1", SHORT)
    [told] = recoveries(story.history)
    assert (told.kind, told.injected, told.running, told.doubled) == ("kill", 1, 1, 0)
    assert told.median_s == told.max_s == 1.5
