"""A job that was enqueued: follow it, wait for its result, cancel it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, TypeVar, cast

from lamplighter.app.results import Results, not_kept, refuse_unless_done
from lamplighter.app.tree import cancel_tree
from lamplighter.app.why import why, why_not_added
from lamplighter.app.why.blocker import Blocker
from lamplighter.core.clock import Clock
from lamplighter.core.definition import Definition
from lamplighter.core.errors import ResultTimeout
from lamplighter.core.model import Added, Failure, JobView, State, Where
from lamplighter.engine.children import Offspring, Stored
from lamplighter.store.base import Store

R = TypeVar("R")


async def cancel(store: Store, job: str, *, now: datetime, keep: timedelta, tree: bool) -> bool:
    """Cancel a job, alone or with all below it; whether there was anything to cancel."""
    if tree:
        gone = await cancel_tree(store, job, now=now, keep_until=now + keep)
    else:
        gone = await store.cancel(Where(ids=(job,)), limit=1, now=now, keep_until=now + keep)
    return bool(gone.ended or gone.asked)


class Handle(Generic[R]):
    """One job. `created` is False when its unique key was held: then `id` is the job that holds it.

    `replaced`: that job waited, and has the new arguments, priority and time now (`when_held`).
    """

    __slots__ = ("_clock", "_definition", "_keep_cancelled", "_results", "_store", "created", "id", "replaced")

    def __init__(
        self,
        added: Added,
        definition: Definition,
        *,
        store: Store,
        results: Results,
        clock: Clock,
        keep_cancelled: timedelta,
    ) -> None:
        self.id = added.id
        self.created = added.created
        self.replaced = added.replaced
        self._definition = definition
        self._store = store
        self._results = results
        self._clock = clock
        self._keep_cancelled = keep_cancelled

    async def result(self, timeout: float | None = None) -> R:
        """What the job returned, once it is done. `timeout`: seconds to wait; None waits for as long as it takes.

        Raises:
            JobFailed: it failed for good.
            JobCancelled: it was cancelled.
            ResultTimeout: the time was over; the job goes on.
            UnknownJob: it ended and is not kept any longer, or the transaction that adds it is not committed.
            StoreUnavailable: the store cannot be reached; ask again.
        """
        try:
            view = await self._results.ended(self.id, timeout)
        except TimeoutError:
            raise ResultTimeout(f"job {self.id} has not ended within {timeout:g} s: wait longer.") from None
        refuse_unless_done(view)
        return cast(R, self._definition.codec.load_result(view.result))

    async def view(self) -> JobView:
        """The job as it is now.

        Raises:
            UnknownJob: it ended and is not kept any longer.
        """
        found = await self._store.page(Where(ids=(self.id,)), limit=1)
        if not found:
            raise not_kept(self.id)
        return found[0]

    async def failures(self) -> list[Failure]:
        """Why its attempts failed, oldest first."""
        return await self._store.failures(self.id)

    async def why(self) -> list[Blocker]:
        """Why it does not run: all that is in its way, the first thing to do first, each with a sentence that says so.

        Empty: the next free slot takes it. Where `created` is False, it is about the job that holds the key.
        """
        ask = why if self.created else why_not_added
        return await ask(self._store, self.id, now=self._clock())

    def children(self, *states: State) -> Offspring:
        """What the jobs that it is held for have come to, the last first: `async for child in handle.children()`.

        How many there are, and have ended, is `(await handle.view()).children`, at the cost of one read.
        """
        return Stored(self._store, self.id, states)

    async def cancel(self, *, tree: bool = False) -> bool:
        """Cancel it if it waits, ask it to stop if it runs; whether there was anything to cancel.

        tree: cancel its children too, and theirs, a thousand in each call; done again, it goes on where it was.
        """
        return await cancel(self._store, self.id, now=self._clock(), keep=self._keep_cancelled, tree=tree)

    def __repr__(self) -> str:
        return f"Handle({self._definition.name} {self.id}{self._fate()})"

    def _fate(self) -> str:
        if self.replaced:
            return ", not created: it waited under its key, and was replaced"
        return "" if self.created else ", not created: its key was held"
