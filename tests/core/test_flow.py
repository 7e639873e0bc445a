"""Flows: what jobs a chain and a group come to, and under which ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter import App, ConfigError, Ctx, Draft, chain, group
from lamplighter.core.flow import Flow
from lamplighter.core.ids import MOST_PLACES, child_id, made_at, named_id, new_id, place_of
from lamplighter.core.model import NewJob

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = new_id(1_900_000_000_000_000)

app = App("memory://")


@app.job()
async def step(ctx: Ctx[None], n: int = 0) -> int:
    return n


@app.job(unique=True)
async def only(ctx: Ctx[None]) -> None: ...


def jobs_of(flow: Flow[int]) -> list[NewJob]:
    return [job for _, job in flow.jobs(ID, NOW)]


def test_a_chain_is_held_link_by_link_and_the_last_is_added_first() -> None:
    last, middle, first = jobs_of(chain(step.draft(1), step.draft(2), step.draft(3)))
    assert [job.args for job in (first, middle, last)] == ['{"n":1}', '{"n":2}', '{"n":3}']
    assert (last.id, last.group, last.children) == (ID, None, 1)
    assert (middle.group, middle.children) == (last.id, 1)
    assert (first.group, first.children) == (middle.id, None)


def test_a_group_is_one_job_and_its_children_in_order() -> None:
    then, *children = jobs_of(group([step.draft(n) for n in range(3)], step.draft(9), on_failure="continue"))
    assert (then.id, then.children, then.on_child_failure) == (ID, 3, "continue")
    assert [child.args for child in children] == [f'{{"n":{n}}}' for n in range(3)]
    assert {child.group for child in children} == {ID}
    ids = [child.id for child in children]
    assert ids == sorted(ids) == [child_id(ID, n) for n in range(3)]


def test_flows_nest_and_each_job_comes_after_the_one_it_is_a_child_of() -> None:
    flow = group([chain(step.draft(), step.draft()), step.draft(), group([], step.draft())], step.draft())
    jobs = jobs_of(chain(flow, step.draft()))
    seen: set[str | None] = {None}
    for job in jobs:
        assert job.group in seen
        seen.add(job.id)
    assert len(seen) == len(jobs) + 1 == 7


def test_a_chain_may_be_longer_than_pythons_stack() -> None:
    assert len(jobs_of(chain(step.draft(), *(step.draft(n) for n in range(5000))))) == 5001


def test_a_flow_is_the_same_each_time() -> None:
    def flow() -> Flow[int]:
        return group([step.draft(), chain(step.draft(), step.draft())], step.draft())

    assert [job.id for job in jobs_of(flow())] == [job.id for job in jobs_of(flow())]
    assert len({job.id for job in jobs_of(flow())}) == 4


def test_children_are_drafted_one_by_one() -> None:
    drafted: list[int] = []

    def drafts() -> Iterator[Draft[int]]:
        for n in range(3):
            drafted.append(n)
            yield step.draft(n)

    jobs = group(drafts(), step.draft(), count=3).jobs(ID, NOW)
    next(jobs)
    assert drafted == []
    next(jobs)
    assert drafted == [0]
    assert len(list(jobs)) == 2


@pytest.mark.parametrize(("count", "came"), [(2, "more"), (4, "only 3")])
def test_a_wrong_count_is_refused(count: int, came: str) -> None:
    with pytest.raises(ConfigError, match=f"a group of count={count} has {came} children: correct the count"):
        jobs_of(group((step.draft() for _ in range(3)), step.draft(), count=count))


def test_a_generator_without_a_count_is_gathered_first() -> None:
    assert group((step.draft() for _ in range(3)), step.draft()).count == 3


def test_a_child_can_have_no_unique_key_but_the_last_to_run_can() -> None:
    with pytest.raises(ConfigError, match=r"job 'only' has a unique key, .* draft children with using\(unique=False\)"):
        jobs_of(group([only.draft()], step.draft()))
    assert len(jobs_of(group([only.using(unique=False).draft()], step.draft()))) == 2
    assert next(iter(group([], only.draft()).jobs(ID, NOW)))[1].unique is not None


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="a chain of one is no chain"):
        chain(step.draft())
    with pytest.raises(ConfigError, match="on_failure='stop' is not one of fail, continue"):
        group([], step.draft(), on_failure="stop")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a job cannot have 2,000,000 children"):
        group(iter(()), step.draft(), count=2_000_000)


@given(st.integers(0, MOST_PLACES - 1))
def test_a_child_tells_its_place_and_when_its_parent_was_made(place: int) -> None:
    child = child_id(ID, place)
    assert place_of(child, ID) == place
    assert made_at(child) == made_at(ID)
    assert place_of(child, new_id(0)) is None
    assert place_of(new_id(0), ID) is None


def test_ids_below_ids_differ() -> None:
    ids = {child_id(child_id(ID, above), below) for above in range(100) for below in range(100)}
    assert len(ids | {child_id(ID, n) for n in range(100)} | {named_id(ID, str(n)) for n in range(100)}) == 10_200
    assert place_of("nobody", ID) is None
    with pytest.raises(ValueError, match=r"no place 1048576 among children"):
        child_id(ID, MOST_PLACES)
