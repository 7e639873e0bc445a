"""The workload as data: what each task is, and how it has to end, follows from the seed and its number alone."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from lamplighter.core.model import Priority, State

Kind = Literal[
    "short",
    "thread",
    "retry",
    "doomed",
    "snooze",
    "scheduled",
    "chain",
    "group",
    "period",
    "forgotten",
    "brief",
    "long",
    "block",
]

# How many of a hundred tasks are of each kind.
SHARES: dict[Kind, float] = {
    "short": 46,  # some milliseconds on the loop
    "thread": 5,  # the same in a thread
    "retry": 12,  # fails a few times first
    "doomed": 3,  # fails for good: a dead letter that has to be there
    "snooze": 6,  # not before a moment
    "scheduled": 10,  # with a delay
    "chain": 3,  # plans its successor under its own unique key
    "group": 5,  # many of them want one unique key
    "period": 1,  # a unique key that outlives the job
    "forgotten": 4,  # not kept once it is done
    "brief": 4,  # kept for a second, then pruned
    "long": 1,  # longer than the lease
}
QUEUES = ("verify-a", "verify-b", "verify-c")
LINKS = 5  # jobs of a chain
GROUPS = 12  # keys that tasks of the kind `group` compete for
SLOTS, PACE, API = "verify.slots", "verify.pace", "verify.api"  # limits: jobs at once, in a time, and a breaker
HELD = 3600.0  # seconds that a `period` key is held, in most cases
HELD_BRIEFLY = 1.0  # seconds, in the others: free again at the end


class Task(Struct, frozen=True, kw_only=True):
    """One thing to be done, and how. Times are seconds."""

    number: int
    kind: Kind
    queue: str
    priority: int
    tenant: str
    takes: float = 0.0
    fails: int = 0
    delay: float = 0.0
    key: str | None = None
    holds: float = 0.0
    transaction: bool = False
    rolled_back: bool = False
    limits: tuple[str, ...] = ()


@lru_cache(maxsize=100_000)
def task(seed: int, number: int, lease: float) -> Task:
    """The task of that number."""
    dice = random.Random(f"{seed} {number}")
    [kind] = dice.choices(list(SHARES), list(SHARES.values()))
    return _task(dice, number, kind, lease)


def blocking(number: int, lease: float) -> Task:
    """The task of the fault `block`: it holds up its worker's event loop for longer than the lease."""
    return Task(number=number, kind="block", queue=QUEUES[0], priority=Priority.URGENT, tenant="t-0", takes=1.5 * lease)


def _task(dice: random.Random, number: int, kind: Kind, lease: float) -> Task:
    transaction = dice.random() < 0.2
    return Task(
        number=number,
        kind=kind,
        queue=dice.choice(QUEUES),
        priority=dice.choice(list(Priority)),
        tenant=f"t-{dice.randrange(20)}",
        takes=1.25 * lease if kind == "long" else dice.uniform(0, 0.02) * dice.choice((1, 1, 1, 10)),
        fails=dice.randint(1, 3) if kind == "retry" else 0,
        delay=dice.uniform(0.3, 4) if kind in {"scheduled", "snooze"} else 0.0,
        key=_key(dice, number, kind),
        holds=dice.choice((HELD, HELD_BRIEFLY)) if kind == "period" else 0.0,
        transaction=transaction,
        rolled_back=transaction and dice.random() < 0.2,
        limits=() if kind == "long" else _limits(dice),
    )


def _limits(dice: random.Random) -> tuple[str, ...]:
    """Most tasks come under none; some under several, so that one that lets a job through meets one that does not."""
    chances = ((SLOTS, 0.15, 8), (PACE, 0.1, 3), (API, 0.1, 2))
    return tuple(f"{name}:{dice.randrange(keys)}" for name, chance, keys in chances if dice.random() < chance)


def _key(dice: random.Random, number: int, kind: Kind) -> str | None:
    if kind == "group":
        return f"group:{dice.randrange(GROUPS)}"
    return f"{kind}:{number}" if kind in {"chain", "period"} else None


def proper_end(kind: Kind) -> State:
    """How a job of this kind has to end."""
    return State.FAILED if kind == "doomed" else State.DONE


def is_kept(kind: Kind) -> bool:
    """Whether the store still has such a job when the run is over."""
    return kind not in {"forgotten", "brief"}
