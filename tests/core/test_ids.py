"""Job ids sort by age, and no two are alike."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.clock import from_us
from lamplighter.core.ids import made_at, new_id

NOW_US = 1_900_000_000_000_000


def test_an_id_is_a_uuid_of_version_7() -> None:
    parsed = uuid.UUID(new_id(NOW_US))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


@pytest.mark.parametrize("us", [0, NOW_US, NOW_US + 1999])
def test_an_id_tells_when_it_was_made_to_the_millisecond(us: int) -> None:
    digits = f"{us // 1000:012x}"
    assert made_at(f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000") == from_us(us // 1000 * 1000)


@pytest.mark.parametrize(
    "id_",
    [
        "",
        "nobody",
        str(uuid.UUID(int=4)),
        "ffffffff-ffff-7000-8000-000000000000",
        "01ba60d3-3800-7000-8000-000000000000 ",
    ],
)
def test_what_is_no_id_of_ours_tells_nothing(id_: str) -> None:
    assert made_at(id_) is None


def test_ids_of_one_moment_sort_in_the_order_they_were_made() -> None:
    ids = [new_id(NOW_US) for _ in range(10_000)]  # more than fit into the 4096 places of a millisecond
    assert all(earlier < later for earlier, later in pairwise(ids))


@given(st.lists(st.integers(0, NOW_US * 2), min_size=2, max_size=20))
def test_ids_sort_though_the_clock_steps_back(moments: list[int]) -> None:
    ids = [new_id(moment) for moment in moments]
    assert ids == sorted(set(ids))


def test_ids_of_many_threads_are_unique_and_sorted_in_each() -> None:
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda _: [new_id(NOW_US) for _ in range(500)], range(8)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({id_ for batch in batches for id_ in batch}) == 8 * 500
