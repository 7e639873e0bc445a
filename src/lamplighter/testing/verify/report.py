"""What a run came to: figures, and which promises were broken."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from lamplighter.testing.verify.check import PROMISES, check, doubled, lost_with_the_last_moments
from lamplighter.testing.verify.history import History
from lamplighter.testing.verify.places import Place
from lamplighter.testing.verify.plan import Plan
from lamplighter.testing.verify.recovery import Recovery, recoveries

EXAMPLES = 5  # cases of each broken promise that are told


class Report(Struct, kw_only=True):
    """What is to be told of a run.

    Args:
        doubled: effects past the first of their job.
        doubled_by_stalls: those that only the slowness of this machine explains.
        broken: some cases of each promise that did not hold; `says`: what each of these promises.
        record: where the journals are kept then.
    """

    store: str
    seed: int
    jobs: int
    enqueued: int
    lost: int
    lost_with_the_last_moments: int
    doubled: int
    doubled_without_cause: int
    doubled_by_stalls: int
    stuck: int
    false_dead_letters: int
    leftovers: int
    faults: list[Recovery]
    left_out: Mapping[str, str]
    counts: dict[str, int]
    broken: dict[str, list[str]]
    says: dict[str, str]
    record: str | None = None


def report(plan: Plan, place: Place, history: History, missing: Mapping[str, str]) -> Report:
    """Judge a history."""
    cases = check(history)
    twice = doubled(history)
    counts = {name: len(found) for name, found in cases.items()}
    return Report(
        store=place.kind,
        seed=plan.seed,
        jobs=plan.jobs,
        enqueued=len(history.acknowledged),
        lost=counts["lost"],
        lost_with_the_last_moments=lost_with_the_last_moments(history),
        doubled=len(twice),
        doubled_without_cause=counts["doubled without cause"],
        doubled_by_stalls=sum(1 for one in twice if one.excuse and one.excuse.kind == "stall"),
        stuck=counts["stuck"],
        false_dead_letters=counts["false dead letters"],
        leftovers=counts["leftovers"],
        faults=recoveries(history),
        left_out=missing,
        counts=counts,
        says={promise.name: promise.says for promise in PROMISES if cases[promise.name]},
        broken={name: found[:EXAMPLES] for name, found in cases.items() if found},
    )
