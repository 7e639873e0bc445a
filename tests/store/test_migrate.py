"""Which steps are to be taken, and whether code fits a store: alike for every store."""

from __future__ import annotations

from importlib.resources import files

import pytest

from lamplighter.core.errors import StoreDamaged
from lamplighter.store.migrate import Choose, Step, migrate, pending, read_steps, refuse_unfit

FIRST, SECOND = Step(1, "pre", "first"), Step(2, "pre", "second")
AFTER, FOURTH = Step(3, "post", "after"), Step(4, "pre", "fourth")
KNOWN = (FIRST, SECOND, AFTER, FOURTH)


class Memory:
    """A schema without a store; `seen` is the steps of each transaction."""

    what = "the store"
    steps = KNOWN

    def __init__(self, *taken: Step) -> None:
        self.noted = list(taken)
        self.seen: list[list[Step]] = []

    async def taken(self) -> list[Step]:
        return list(self.noted)

    async def take(self, choose: Choose) -> list[Step]:
        chosen = choose(self.noted)
        self.noted += chosen
        self.seen += [chosen] if chosen else []
        return chosen

    async def doubts(self) -> list[str]:
        return []


async def test_a_new_store_gets_all_steps_at_once() -> None:
    schema = Memory()
    assert await migrate(schema) == list(KNOWN)
    assert schema.seen == [list(KNOWN)]


async def test_an_older_store_gets_pre_steps_one_by_one_though_a_post_step_waits() -> None:
    schema = Memory(FIRST)
    assert await migrate(schema) == [SECOND, FOURTH]
    assert schema.seen == [[SECOND], [FOURTH]]
    assert await migrate(schema) == []


async def test_post_steps_are_taken_when_asked_for() -> None:
    schema = Memory(FIRST)
    assert await migrate(schema, post=True) == [SECOND, AFTER, FOURTH]


@pytest.mark.parametrize("post", [False, True])
async def test_older_code_does_not_touch_what_a_newer_post_step_changed(post: bool) -> None:
    schema = Memory(FIRST, Step(5, "post", "of the future"))
    with pytest.raises(StoreDamaged, match="the store was migrated for a newer Lamplighter alone: upgrade"):
        await migrate(schema, post=post)
    assert schema.seen == []


def test_code_works_before_its_own_post_steps_and_after_newer_pre_steps() -> None:
    refuse_unfit("the store", KNOWN, [FIRST, SECOND, FOURTH, Step(5, "pre", "of the future")])


@pytest.mark.parametrize(
    ("taken", "sentence"),
    [
        ([FIRST, SECOND], "the store lacks schema step 4 of this version: run `lamplighter migrate`."),
        ([FIRST], "the store lacks schema steps 2 and 4 of this version: run `lamplighter migrate`."),
        ([*KNOWN, Step(6, "post", "x")], "the store was migrated for a newer Lamplighter alone: upgrade this one."),
    ],
)
def test_code_that_does_not_fit_says_so_in_one_sentence(taken: list[Step], sentence: str) -> None:
    with pytest.raises(StoreDamaged) as refused:
        refuse_unfit("the store", KNOWN, taken)
    assert str(refused.value) == sentence


def test_a_step_that_was_given_a_better_title_is_the_same_step() -> None:
    assert pending([Step(1, "pre", "better")], [FIRST], post=True) == []


@pytest.mark.parametrize("store", [one.name for one in files("lamplighter.store").iterdir() if one.is_dir()])
def test_the_steps_of_every_store_can_be_read(store: str) -> None:
    if not files(f"lamplighter.store.{store}").joinpath("migrations").is_dir():
        return
    steps = list(read_steps(f"lamplighter.store.{store}"))
    assert steps[0].phase == "pre"
    assert all(step.title.strip() == step.title for step in steps)
