"""A process of the run that adds jobs: `python -m lamplighter.testing.verify.enqueuer`, with its orders on stdin."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec.structs import replace

from lamplighter.core.errors import StoreError
from lamplighter.observe.log import set_up_logging
from lamplighter.testing.verify.jobs import Jobs, Recorder, answer, opened
from lamplighter.testing.verify.lines import Journal, Line, What, read
from lamplighter.testing.verify.orders import Orders, commands, read_orders
from lamplighter.testing.verify.places.transactions import Transactions, transactions_of
from lamplighter.testing.verify.tasks import Task, task

MOST_TOGETHER = 20  # tasks in one call
PAUSE = 0.1  # seconds after the store has refused

_WITHDRAWN: dict[What, What] = {"added": "withdrawn"}  # a key that was held was so all the same


class Enqueuer:
    """Adds the tasks of its share, each at its time, again and again until the store has answered."""

    def __init__(self, orders: Orders, journal: Journal) -> None:
        self._orders = orders
        self._journal = journal
        self._dice = random.Random(f"{orders.seed} {orders.name}")
        self._waiting = deque(_still_to_add(orders))
        self._jobs = Jobs(orders.open_store(), Recorder(journal, {}, orders.seed, orders.lease))
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Add them all."""
        app = self._jobs.app
        async with opened(app), transactions_of(self._orders) as transactions, commands(self._stop.set):
            print("ready", flush=True)
            while self._waiting and not self._stop.is_set():
                await self._add_some(transactions)

    async def _add_some(self, transactions: Transactions | None) -> None:
        some = min(len(self._waiting), self._dice.randint(1, MOST_TOGETHER))
        numbers = [self._waiting.popleft() for _ in range(some)]
        await asyncio.sleep(max(0.0, self._moment(numbers[-1]) - time.monotonic()))
        tasks = [task(self._orders.seed, number, self._orders.lease) for number in numbers]
        in_one = [one for one in tasks if transactions is not None and one.transaction]
        plain = [one for one in tasks if one not in in_one]
        await self._add(plain, None)
        await self._add([one for one in in_one if not one.rolled_back], transactions)
        await self._add([one for one in in_one if one.rolled_back], transactions, commit=False)

    def _moment(self, number: int) -> float:
        return self._orders.begins + self._orders.lasts * number / max(1, self._orders.jobs)

    async def _add(self, tasks: Sequence[Task], transactions: Transactions | None, *, commit: bool = True) -> None:
        """One call for all of these. What it raised for may be there or not, so it is tried once more, later."""
        if not tasks:
            return
        asked = [self._journal.line("asked", number=one.number) for one in tasks]
        self._journal.write(*asked)
        errors: tuple[type[Exception], ...] = (StoreError, *(transactions.errors if transactions else ()))
        try:
            answers = await self._ask(tasks, asked, transactions, commit=commit)
        except errors:
            answers = [self._journal.line("doubtful", number=one.number) for one in tasks]
            self._waiting.extend(one.number for one in tasks)
            await asyncio.sleep(PAUSE)
        self._journal.write(*answers)

    async def _ask(
        self, tasks: Sequence[Task], asked: Sequence[Line], transactions: Transactions | None, *, commit: bool
    ) -> list[Line]:
        drafts = [self._jobs.draft(one) for one in tasks]
        if transactions is None:
            handles = await self._jobs.app.enqueue(drafts)
        else:
            async with transactions.begin(commit=commit) as tx:
                handles = await self._jobs.app.enqueue(drafts, tx=tx)
        answers = [
            answer(self._journal, line, (handle.id, handle.created), one.key)
            for handle, line, one in zip(handles, asked, tasks, strict=True)
        ]
        return answers if commit else [replace(one, what=_WITHDRAWN.get(one.what, one.what)) for one in answers]


def _still_to_add(orders: Orders) -> Iterable[int]:
    """The numbers of its share that have no answer yet: it may take the place of one that was killed."""
    answered = {
        line.number for line in read(orders.path) if line.what in {"added", "held", "withdrawn"} and line.step == 0
    }
    return (number for number in islice(range(orders.jobs), orders.share, None, orders.of) if number not in answered)


def main() -> None:
    """One enqueuer, until all is added or its stdin ends."""
    orders = read_orders()
    set_up_logging("error", "text")
    with Journal(orders.path, orders.name) as journal:
        asyncio.run(_run(orders, journal))


async def _run(orders: Orders, journal: Journal) -> None:
    await Enqueuer(orders, journal).run()


if __name__ == "__main__":
    main()
