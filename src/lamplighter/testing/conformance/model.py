"""The model: random histories, in which the store must answer as the memory store does, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lamplighter.core.clock import to_us
from lamplighter.core.errors import QueueFull
from lamplighter.core.flow_control import (
    LIMIT,
    QUEUE,
    TENANT,
    GateRule,
    Order,
    OrderVerb,
    QueueRule,
    ShareView,
    TenantRule,
)
from lamplighter.core.ids import new_id
from lamplighter.core.model import (
    ATTEMPT_ENDS,
    Added,
    Beat,
    Claimed,
    Failure,
    Keep,
    NewJob,
    OnChildFailure,
    Outcome,
    QueueStats,
    Record,
    State,
    Unique,
    UniqueMode,
    Verb,
    Where,
)
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.rules import Rule, record_of
from lamplighter.testing.conformance._make import EVERY, LEASE, MANY, NOW, failure, job, later

T = TypeVar("T")

# Failing histories are told as they are: to shrink one takes minutes on a store with a disk.
HISTORIES = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

_queues = st.sampled_from(["a", "b"])
_seconds = st.integers(-5, 90)
_picks = st.lists(st.integers(0, 9), min_size=1, max_size=4)  # which of those known so far, counted from the newest
_any_or_picks: st.SearchStrategy[list[int]] = st.just([]) | _picks
_maybe_seconds = st.none() | _seconds
_verbs = st.sampled_from(list(ATTEMPT_ENDS))
_states = st.just(()) | st.lists(st.sampled_from(State), min_size=1, max_size=2).map(tuple)
_modes = st.sampled_from(["pending", "active", "period"])
_uniques = st.none() | st.tuples(st.sampled_from(["k", "k", "k", "l"]), _modes)  # jobs must meet to differ
_replaces = st.sampled_from([(False, None), (True, None), (True, 20)])  # and how long it debounces
_tenants = st.sampled_from([None, "t", "t", "u", "v"])
GATES = ("one:x", "rate:x", "api:x", "api:y")
_gates = st.sampled_from(GATES)
_limits = st.just(()) | st.lists(_gates, min_size=1, max_size=2, unique=True).map(tuple)
_weights = st.builds(TenantRule, weight=st.integers(1, 5))
_shared = st.builds(
    QueueRule,
    charge=st.sampled_from(["jobs", "time"]),
    most=st.none() | st.integers(3, 6),
    most_per_tenant=st.none() | st.integers(2, 4),
    drop=st.booleans(),
)
Ordered = tuple[str, OrderVerb, int | None]
_order_verbs: st.SearchStrategy[OrderVerb] = st.sampled_from(["penalize", "open", "close"])
_orders: st.SearchStrategy[Ordered] = st.tuples(_gates, _order_verbs, st.integers(1, 60))
SECOND = 1_000_000
_RULES = {
    "one": GateRule(running=1),
    "two": GateRule(running=2),
    "rate": GateRule(interval=15 * SECOND, burst=2),
    "api": GateRule(percent=50, at_least=2, open_for=20 * SECOND, longest=30 * SECOND, within=90 * SECOND),
    "all": GateRule(running=2, interval=5 * SECOND, percent=60, at_least=3, open_for=10 * SECOND),
    "none": GateRule(),
}


Change = Ordered | tuple[str, Rule | None]
_limit_names = st.sampled_from(["one", "rate", "api"])
_changes: st.SearchStrategy[Change] = st.one_of(
    _orders,
    st.tuples(_limit_names, st.sampled_from([None, *_RULES.values()])),
    st.tuples(st.sampled_from(["", "t", "u"]), _weights),
    st.tuples(_queues, _shared),
)

_families = st.lists(st.tuples(_queues, st.sampled_from([-5, -5, 30])), max_size=3)  # queue and run_at of children
_on_failure: st.SearchStrategy[OnChildFailure] = st.sampled_from(["fail", "continue"])
# queue, priority, run_at, key, until (in seconds), whether it replaces, tenant and limits
Draft = tuple[str, int, int, tuple[str, UniqueMode] | None, int, tuple[bool, int | None], str | None, tuple[str, ...]]
_drafts = st.tuples(
    _queues,
    st.sampled_from([0, 0, 10]),
    _seconds,
    _uniques,
    st.integers(1, 90),
    _replaces,
    _tenants,
    _limits,
)


class Histories(RuleBasedStateMachine):
    """One history: the same calls to both stores, at moments that only go on."""

    store: Store
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.oracle = MemoryStore()
        self.now = NOW
        self.history = new_id(to_us(NOW))  # ends its keys: one that a faulty store leaks must not blur the next history
        self.jobs: list[NewJob] = []
        self.parents: list[NewJob] = []
        self.attempts: list[Claimed] = []

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def both(self, call: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """The answer of both stores, which must be the same."""
        expected, answer = self.run(call(self.oracle)), self.run(call(self.store))
        assert answer == expected
        return answer

    def after(self, seconds: int | None) -> datetime | None:
        return None if seconds is None else self.now + timedelta(seconds=seconds)

    @initialize(drafts=st.lists(_drafts, min_size=3, max_size=6))
    def start_with_a_few_jobs(self, drafts: list[Draft]) -> None:
        """Without them most histories would be those of an empty store, in which nothing can go wrong."""
        self.run(empty(self.store))
        for name in ("one", "rate", "api"):
            self.put_rule(name, _RULES[name])
        self.add_batch(drafts, None)

    def add_batch(self, drafts: list[Draft], parent: str | None) -> None:
        batch = [
            job(
                queue=queue,
                priority=priority,
                run_at=self.now + timedelta(seconds=seconds),
                unique=key
                and Unique(key[0] + self.history, key[1], until=self.after(lasts) if key[1] == "period" else None),
                parent=parent,
                args=f"[{len(self.jobs) + n}]",
                replaces=replaces,
                debounce_for=None if longest is None else timedelta(seconds=longest),
                tenant=tenant,
                limits=limits,
            )
            for n, (queue, priority, seconds, key, lasts, (replaces, longest), tenant, limits) in enumerate(drafts)
        ]
        self.add_all(batch)

    @rule(drafts=st.lists(_drafts, min_size=1, max_size=3))
    def add(self, drafts: list[Draft]) -> None:
        self.add_batch(drafts, None)

    @precondition(lambda self: self.attempts)
    @rule(draft=_drafts, which=_picks)
    def add_successor(self, draft: Draft, which: list[int]) -> None:
        self.add_batch([draft], pick(self.attempts, which)[0].id)

    @rule(
        children=_families,
        missing=st.sampled_from([0, 0, 0, 1]),
        on_failure=_on_failure,
        key=_uniques,
        seconds=_seconds,
        limits=_limits,
    )
    def add_family(
        self,
        *,
        children: list[tuple[str, int]],
        missing: int,
        on_failure: OnChildFailure,
        key: tuple[str, UniqueMode] | None,
        seconds: int,
        limits: tuple[str, ...],
    ) -> None:
        """A job that is held, and its children, some of which may come later."""
        held = job(
            queue="a",
            limits=limits,
            run_at=self.now + timedelta(seconds=seconds),
            children=len(children) + missing,
            on_child_failure=on_failure,
            unique=key and Unique(key[0] + self.history, key[1], until=self.after(30) if key[1] == "period" else None),
        )
        self.add_all([held, *self.children_of(held, children)])
        self.parents.append(held)

    @precondition(lambda self: self.parents)
    @rule(which=_picks, children=_families, on_failure=_on_failure)
    def add_to_family(self, which: list[int], children: list[tuple[str, int]], on_failure: OnChildFailure) -> None:
        """A job that is held, with its children, as a child of one that may be held no longer."""
        above = pick(self.parents, which)[0]
        held = job(queue="b", tenant="t", children=len(children), on_child_failure=on_failure, group=above.id)
        self.add_all([held, *self.children_of(held, children), *self.children_of(above, children[:1])])
        self.parents.append(held)

    def children_of(self, held: NewJob, children: list[tuple[str, int]]) -> list[NewJob]:
        moments = [(queue, self.now + timedelta(seconds=seconds)) for queue, seconds in children]
        return [job(group=held.id, queue=queue, run_at=moment, limits=("one:x",)) for queue, moment in moments]

    def add_all(self, batch: list[NewJob]) -> None:
        if self.both(lambda store: added(store, batch, self.now)):
            self.jobs += batch

    @precondition(lambda self: self.parents)
    @rule(which=_picks, states=_states, limit=st.integers(1, 5), again=st.booleans())
    def move_children(self, which: list[int], states: tuple[State, ...], limit: int, again: bool) -> None:  # noqa: FBT001
        """An operator cancels, or retries, the children of some."""
        where = Where(groups=tuple(held.id for held in pick(self.parents, which)), states=states)
        if again:
            self.both(lambda store: store.retry(where, limit=limit, now=self.now))
        else:
            self.both(lambda store: store.cancel(where, limit=limit, now=self.now))
        self.both(lambda store: store.page(where, limit=limit))

    @rule(which=_picks)
    def add_again(self, which: list[int]) -> None:
        known = {view.id for view in self.run(self.oracle.page(EVERY, limit=MANY))}
        batch = [new for new in pick(self.jobs, which) if new.id in known]
        self.both(lambda store: added(store, batch, self.now))

    @rule(queues=st.lists(_queues, max_size=2), limit=st.integers(1, 4), worker=st.sampled_from(["w-1", "w-2"]))
    def claim(self, queues: list[str], limit: int, worker: str) -> None:
        self.attempts += self.both(lambda store: store.claim(queues, limit, worker=worker, lease=LEASE, now=self.now))

    @precondition(lambda self: self.attempts)
    @rule(which=_picks, verb=_verbs, again=_seconds, keep=_maybe_seconds, order=st.none() | _orders)
    def finish(self, which: list[int], verb: Verb, again: int, keep: int | None, order: Ordered | None) -> None:
        self.finish_all(pick(self.attempts, which), verb, again, keep, order)

    @precondition(lambda self: self.lost())
    @rule(which=_picks, verb=_verbs)
    def finish_too_late(self, which: list[int], verb: Verb) -> None:
        """A worker that lost its lease knows nothing of it, and a newer attempt is under way."""
        self.finish_all(pick(self.lost(), which), verb, 5, None)

    def lost(self) -> list[Claimed]:
        newest = {attempt.id: attempt.fence for attempt in self.attempts}
        return [attempt for attempt in self.attempts if attempt.fence < newest[attempt.id]]

    @rule(limit=st.integers(1, 3), verb=_verbs, again=_seconds, keep=_maybe_seconds)
    def work(self, limit: int, verb: Verb, again: int, keep: int | None) -> None:
        """Claim and finish: the life of most jobs, which single rules seldom put together."""
        earlier = len(self.attempts)
        self.claim([], limit, "w-1")
        self.finish_all(self.attempts[earlier:], verb, again, keep)

    @rule(limit=st.integers(1, 3), asked=st.booleans())
    def vanish(self, limit: int, asked: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        """A worker claims and is never heard of again, perhaps after an operator asked its jobs to stop."""
        earlier = len(self.attempts)
        self.claim([], limit, "w-2")
        ids = tuple(attempt.id for attempt in self.attempts[earlier:])
        if asked and ids:
            self.both(lambda store: store.cancel(Where(ids=ids), limit=MANY, now=self.now))
        self.sweep(30)

    def finish_all(
        self, attempts: list[Claimed], verb: Verb, again: int, keep: int | None, order: Ordered | None = None
    ) -> None:
        outcomes = [
            Outcome(
                id=attempt.id,
                fence=attempt.fence,
                verb=verb,
                run_at=self.after(again) if verb in {"retry", "snooze"} else None,
                result="1" if verb == "done" else None,
                reason=None if verb == "done" else "because",
                failure=failure(attempt, at=self.now) if ATTEMPT_ENDS[verb].spends else None,
                keep_until=self.after(keep),
                orders=() if order is None else (self.order_of(order),),
            )
            for attempt in attempts
        ]
        self.both(lambda store: store.finish(outcomes, now=self.now))

    @precondition(lambda self: self.attempts)
    @rule(which=_picks, progress=st.none() | st.just("[1]"))
    def beat(self, which: list[int], progress: str | None) -> None:
        beats = [Beat(attempt.id, attempt.fence, progress) for attempt in pick(self.attempts, which)]
        self.both(lambda store: store.beat(beats, lease=LEASE, now=self.now))

    @rule(seconds=st.integers(0, 90))
    def sweep(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.both(lambda store: store.sweep(MANY, now=self.now))

    @rule(which=_any_or_picks, states=_states, limit=st.integers(1, 5), keep=_maybe_seconds)
    def cancel(self, which: list[int], states: tuple[State, ...], limit: int, keep: int | None) -> None:
        where = Where(ids=tuple(new.id for new in pick(self.jobs, which)), states=states)
        self.both(lambda store: store.cancel(where, limit=limit, now=self.now, keep_until=self.after(keep)))

    @rule(which=_any_or_picks, states=_states, limit=st.integers(1, 5))
    def retry(self, which: list[int], states: tuple[State, ...], limit: int) -> None:
        where = Where(ids=tuple(new.id for new in pick(self.jobs, which)), states=states)
        self.both(lambda store: store.retry(where, limit=limit, now=self.now))

    @rule(which=_any_or_picks, states=_states, limit=st.integers(1, 5))
    def forget(self, which: list[int], states: tuple[State, ...], limit: int) -> None:
        where = Where(ids=tuple(new.id for new in pick(self.jobs, which)), states=states)
        self.both(lambda store: store.forget(where, limit=limit))

    @rule(change=_changes)
    def govern(self, change: Change) -> None:
        """Something of flow control: one rule for all of it, or histories would be of little else."""
        match change:
            case (str() as key, "penalize" | "open" | "close" as verb, int() as seconds):
                self.both(lambda store: store.order([self.order_of((key, verb, seconds))], now=self.now))
            case (str() as name, None):
                self.both(lambda store: store.drop(LIMIT, name))
            case (str() as name, GateRule() | TenantRule() | QueueRule() as rule_):
                self.put_rule(name, rule_)

    def order_of(self, order: Ordered) -> Order:
        key, verb, seconds = order
        return Order(key, verb, None if verb == "close" else self.after(seconds))

    def put_rule(self, name: str, rule_: Rule) -> None:
        self.both(lambda store: store.put(record_of(name, rule_)))

    @rule(keep=st.builds(Keep, st.integers(0, 4), st.integers(0, 4)))
    def prune(self, keep: Keep) -> None:
        self.both(lambda store: store.prune(keep, limit=MANY, now=self.now))

    @rule(queue=_queues, paused=st.sampled_from([False, False, True]))
    def pause(self, queue: str, paused: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        self.both(lambda store: store.pause(queue, paused=paused))

    @rule(name=st.sampled_from(["x", "y"]), expires=_maybe_seconds)
    def put(self, name: str, expires: int | None) -> None:
        record = Record(kind="model", name=name, value="1", expires_at=self.after(expires))
        self.both(lambda store: store.put(record))
        self.both(lambda store: store.records("model", now=self.now))

    @invariant()
    def the_stores_hold_the_same(self) -> None:
        self.both(lambda store: store.page(EVERY, limit=MANY))
        self.both(busy)
        self.both(lambda store: store.gates(limit=MANY, now=self.now))
        self.both(lambda store: store.gates(GATES, limit=MANY, now=self.now))
        for queue in ("a", "b"):
            self.both(partial(shares, queue=queue))
        recent = [attempt.id for attempt in self.attempts[-2:]]
        self.both(lambda store: failures_of(store, recent))


def pick(known: list[T], which: list[int]) -> list[T]:
    places = dict.fromkeys(n % len(known) for n in which) if known else ()
    return [known[-1 - place] for place in places]


async def busy(store: Store) -> list[QueueStats]:
    """The counts of queues that hold jobs or are paused: a store may or may not remember other queues."""
    return [stats for stats in await store.stats() if stats != QueueStats(queue=stats.queue, paused=False)]


async def added(store: Store, batch: list[NewJob], now: datetime) -> list[Added]:
    """What became of a batch; nothing where its queue is full."""
    try:
        return await store.add(batch, now=now)
    except QueueFull:
        return []


async def shares(store: Store, queue: str) -> list[ShareView]:
    return await store.shares(queue, limit=MANY)


async def failures_of(store: Store, ids: list[str]) -> list[list[Failure]]:
    return [await store.failures(id_) for id_ in ids]


async def empty(store: Store) -> None:
    """Clear a store by what every store can do."""
    end = later(1e9)
    for stats in await store.stats():
        await store.pause(stats.queue, paused=False)
    await store.cancel(EVERY, limit=MANY, now=end)
    running = await store.page(Where(states=(State.RUNNING,)), limit=MANY)
    await store.finish([Outcome(id=view.id, fence=view.fence, verb="done") for view in running], now=end)
    await store.prune(Keep(0, 0), limit=MANY, now=end)
    for kind in ("model", LIMIT, QUEUE, TENANT):
        for record in await store.records(kind, now=NOW):
            await store.drop(kind, record.name)
    gates = await store.gates(limit=MANY, now=NOW)
    await store.order([Order(view.key, "close") for view in gates], now=end)
    await store.sweep(MANY, now=end)
    await store.prune(Keep(0, 0), limit=MANY, now=later(2e9))  # what breakers counted is over by then


def compare(store: Store, how: settings = HISTORIES) -> None:
    """Live through random histories on a store, from a loop of its own.

    Raises:
        AssertionError: it answered otherwise than the memory store.
    """
    with asyncio.Runner() as runner:
        machine = type("Histories", (Histories,), {"store": store, "runner": runner})
        run_state_machine_as_test(machine, settings=how)


async def test_every_history_is_that_of_the_model(store: Store) -> None:
    await asyncio.to_thread(compare, store)
