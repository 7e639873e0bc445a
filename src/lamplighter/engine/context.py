"""What a handler is given first: who it works for, and ways to speak with whoever watches it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from lamplighter.core.errors import BadArguments, TooLarge
from lamplighter.core.flow_control import Order, OrderVerb
from lamplighter.core.ids import named_id
from lamplighter.core.model import State
from lamplighter.engine.children import Child, Given, Offspring
from lamplighter.engine.job_log import Log

D = TypeVar("D")

ReadChildren: TypeAlias = Callable[[Sequence[State]], Offspring]

LARGEST_PROGRESS = 4096  # bytes of JSON: it is written with every beat
LONGEST_ORDER = timedelta(days=365)

_MAKING_LOG = threading.Lock()  # of all jobs: most log nothing, and of the others each makes its log once

CURRENT_JOB: ContextVar[str | None] = ContextVar("lamplighter_current_job", default=None)
"""The id of the job that runs in this context: what it adds are its children, to which it may hand its unique key."""


class Ctx(Generic[D]):
    """One attempt at one job. In a unit test, `Ctx(deps)` will do.

    `attempt` counts from 1; attempts that were snoozed, or handed back by a stopping worker, do not count.
    """

    __slots__ = (
        "_children",
        "_log",
        "_new_log",
        "_orders",
        "_progress",
        "attempt",
        "deps",
        "id",
        "name",
        "queue",
        "run_at",
        "stopping",
        "tenant",
    )

    def __init__(
        self,
        deps: D,
        *,
        id: str = "",  # noqa: A002 - ctx.id is what people look for
        name: str = "",
        queue: str = "",
        tenant: str | None = None,
        attempt: int = 1,
        run_at: datetime | None = None,
        children: Sequence[Child] | ReadChildren = (),
        log: Callable[[], Log] = Log,
    ) -> None:
        self.deps = deps
        self.id = id
        self.name = name
        self.queue = queue
        self.tenant = tenant
        self.attempt = attempt
        self.run_at = run_at
        self.stopping = False
        """True once this attempt should end soon: a loop in a thread looks at it now and then."""
        self._progress: str | None = None
        self._orders: list[tuple[str, OrderVerb, timedelta]] = []
        self._children = children
        self._new_log = log
        self._log: Log | None = None

    @property
    def log(self) -> Log:
        """Logs to the process's log, and what it logs is kept with the job: `ctx.log.info("indexed", files=12)`."""
        return self._log or self._make_log()

    @property
    def has_log_lines(self) -> bool:
        """Whether something was logged that the store does not have."""
        return self._log is not None and self._log.has_lines

    @property
    def idempotency_key(self) -> str:
        """The same at every attempt of this job: give it to services that do a thing once per key."""
        return self.id

    def id_for(self, name: str) -> str:
        """An id for what this job enqueues under a name, the same at every attempt: so a flow is enqueued once, however
        often the job is retried. `await app.enqueue_flow(flow, id=ctx.id_for("pages"))`."""
        return named_id(self.id, name)

    def children(self, *states: State) -> Offspring:
        """What became of the jobs that this one was held for, the last first; only those in these states, if any.

        `async for child in ctx.children(): child.state, child.result, child.reason`; plain `for` in a thread. In a unit
        test they are those that the `Ctx` was made with.

        Raises:
            ConfigError: the job runs in a process of its own, which has no store.
        """
        if callable(self._children):
            return self._children(states)
        return Given([child for child in self._children if not states or child.state in states])

    def progress(self, done: float, of: float | None = None, note: str = "") -> None:
        """Say how far it is, e.g. `ctx.progress(30, of=200, note="reading")`. Seen with the next heartbeat.

        Raises:
            TooLarge: the note is longer than a few thousand characters.
        """
        told: dict[str, Any] = {"done": done, "of": of, "note": note}
        text = msgspec.json.encode({key: value for key, value in told.items() if value not in {None, ""}})
        if len(text) > LARGEST_PROGRESS:
            raise TooLarge(f"the progress note takes more than {LARGEST_PROGRESS} bytes: shorten it.")
        self._progress = text.decode()

    def penalize(self, key: str, retry_after: float | timedelta) -> None:
        """Let no job of a limit's key start for a while (seconds), e.g. `ctx.penalize("provider:google", 30)` for what
        an answer of 429 says. It counts once this attempt has ended: then raise `Snooze` or `Retry`.

        Raises:
            BadArguments: the time is negative, or more than a year.
        """
        self.order(key, "penalize", _time(retry_after))

    def trip(self, key: str, open_for: float | timedelta) -> None:
        """Open the breaker of a limit's key for a while (seconds), whatever its failure ratio is: when that is over,
        one job tries. It counts once this attempt has ended. Raises what `penalize` raises."""
        self.order(key, "open", _time(open_for))

    def order(self, key: str, verb: OrderVerb, lasts: timedelta) -> None:
        """What a gate is to do once this attempt has ended."""
        self._orders.append((key, verb, lasts))

    def orders(self, now: datetime) -> tuple[Order, ...]:
        """All of that, as of the end of the attempt."""
        return tuple(Order(key, verb, now + lasts) for key, verb, lasts in self._orders)

    def _make_log(self) -> Log:
        with _MAKING_LOG:
            if self._log is None:
                self._log = self._new_log()
            return self._log

    def take_progress(self) -> str | None:
        """What was told since it was last taken, as JSON."""
        told, self._progress = self._progress, None
        return told

    def put_back(self, progress: str | None) -> None:
        """What was taken could not be told: it is told next time, unless there is something newer by then."""
        if self._progress is None:
            self._progress = progress

    def tell(self, progress: str) -> None:
        """Progress as JSON, from the process that the handler runs in."""
        self._progress = progress


def _time(lasts: float | timedelta) -> timedelta:
    try:
        time = lasts if isinstance(lasts, timedelta) else timedelta(seconds=lasts)
        fits = timedelta() <= time <= LONGEST_ORDER
    except (OverflowError, ValueError):
        fits = False
    if not fits:
        raise BadArguments(f"a limit cannot be shut for {lasts} s: give between 0 and a year.")
    return time
