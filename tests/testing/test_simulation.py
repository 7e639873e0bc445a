"""The engine on virtual time, under faults; and broken ones, which have to be noticed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from tests.testing import broken_engines

from lamplighter.testing.simulation import run
from lamplighter.testing.simulation.loop import Standstill, VirtualLoop

GROUPS = 10
SEEDS = 10  # in each group
FEW = range(5, 25)  # seeds in which damage has to show

COMMAND = [sys.executable, "-m", "lamplighter.testing.simulation"]


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop(random.Random(1))
    yield made
    made.close()


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_promise_holds_under_faults(group: int) -> None:
    results = [run(seed) for seed in range(group * SEEDS, (group + 1) * SEEDS)]
    assert {one.seed: one.broken for one in results if one.broken} == {}
    assert all(one.jobs > 20 for one in results)


def test_runs_meet_what_they_are_there_for() -> None:
    results = [run(seed) for seed in FEW]
    told = [line for one in results for line in one.lines]
    assert sum(one.rescues for one in results) > 50
    assert {line.what for line in told} >= {
        "claimed",
        "begin",
        "end",
        "finished",
        "refused",
        "added",
        "held",
        "unwanted",
    }
    assert {line.detail for line in told if line.what == "finished"} >= {"done", "fail", "retry", "snooze", "release"}
    assert {blow for one in results for blow in one.weather.blows} == {
        "pause", "block", "crash", "leave", "outage", "cut", "jump"
    }  # fmt: skip


def test_a_seed_repeats_itself_in_another_process_with_other_hashes() -> None:
    expected = f"digest {run(7).digest}"
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        told = subprocess.run(
            [*COMMAND, "--seed", "7"], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        assert expected in told.stdout.splitlines()


def test_another_seed_is_another_run() -> None:
    assert len({run(seed).digest for seed in range(5)}) == 5


def test_a_run_leaves_the_dice_as_they_were() -> None:
    random.seed(5)
    expected = random.random()
    random.seed(5)
    run(3)
    assert random.random() == expected


@pytest.mark.parametrize("store", broken_engines.STORES)
def test_a_store_that_breaks_its_word_is_noticed(store: type[broken_engines.Wrapped]) -> None:
    assert any(run(seed, wrap=store.wrap).broken for seed in FEW)


@pytest.mark.parametrize(("break_it", "seed"), broken_engines.ENGINES.items())
def test_an_engine_that_breaks_its_word_is_noticed(
    break_it: Callable[[pytest.MonkeyPatch], None], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(seed).broken == {}
    break_it(monkeypatch)
    assert run(seed).broken != {}


def test_a_failing_seed_says_how_to_repeat_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamplighter.testing.simulation import __main__ as program

    broken_engines.fires_under_ids_of_chance(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["simulation", "--seed", "4"])
    assert program.main() == 1
    told = capsys.readouterr().out
    assert "seed 4 failed; repeat it with: python -m lamplighter.testing.simulation --seed 4\n" in told
    assert "slots doubled" in told


def test_many_seeds_are_one_command() -> None:
    told = subprocess.run(
        [*COMMAND, "--seeds", "3", "--first", "5", "--processes", "1"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert told.stdout.startswith("3 seeds, ")
    assert told.stdout.endswith(": 0 failed.\n")


def test_an_hour_passes_at_once(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() == 3600


def test_a_run_that_takes_more_turns_than_it_may_is_ended() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - that is what is tested
            await asyncio.sleep(0)

    loop = VirtualLoop(random.Random(1), most_turns=50)
    try:
        with pytest.raises(Standstill, match="the run had taken 50 turns: something spins"):
            loop.run_until_complete(spin())
    finally:
        [task] = asyncio.all_tasks(loop)
        task.cancel()
        loop._most_turns = 100
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()


def test_a_frozen_process_has_its_turns_later(loop: VirtualLoop) -> None:
    told: list[tuple[str, float]] = []

    async def work() -> None:
        await asyncio.sleep(1)
        told.append(("work", loop.time()))

    async def world() -> None:
        task = loop.spawn("frozen", work())
        await asyncio.sleep(0.5)
        loop.freeze("frozen")
        await asyncio.sleep(5)
        told.append(("world", loop.time()))
        loop.thaw("frozen")
        await task

    loop.run_until_complete(world())
    assert told == [("world", 5.5), ("work", 5.5)]


def test_waiting_for_what_cannot_come_is_said(loop: VirtualLoop) -> None:
    async def wait() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

    task = loop.create_task(wait())
    with pytest.raises(Standstill, match="nothing was left"):
        loop.run_until_complete(task)
    task.cancel()
    loop.run_until_complete(task)
