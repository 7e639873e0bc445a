"""Flow control: who may be claimed, and who waits before a gate. `Shelf` tells it of every queued job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from lamplighter.core.clock import from_us, maybe_to_us, to_us
from lamplighter.core.flow_control import (
    AT_ONCE,
    LIMIT,
    MOST_LET_GO,
    QUEUE,
    TENANT,
    Gate,
    GateRule,
    GateView,
    Order,
    QueueRule,
    TenantRule,
    Turned,
    charge_for,
    charge_of,
    limit_of,
)
from lamplighter.core.model import JobView
from lamplighter.store.memory.lines import Class, Lines, Pick
from lamplighter.store.memory.waits import Before, Wait
from lamplighter.store.rules import read_rule

Text = Callable[[str, str], str | None]  # the text of a record, by its kind and name


class FlowControl:
    """Lines, gates and those who wait before them; changes no job itself."""

    def __init__(self, text: Text) -> None:
        self.lines = Lines()
        self._text = text
        self._gates: dict[str, Gate] = {}
        self._waits: dict[Before, Wait] = {}
        self._places: dict[str, int] = {}  # of jobs that wait before a gate, or did and were let go
        self._let_go: dict[str, str] = {}  # jobs that a gate let go, and that were not claimed yet
        self._candidates: Counter[Before] = Counter()  # how many of those stand in the line of their queue

    def enter(self, job: JobView) -> None:
        """A job is queued."""
        if job.waits_on:
            self._waits[job.waits_on, job.queue].enter(job, self._places[job.id])
            return
        self.lines.enter(job)
        if key := self._let_go.get(job.id):
            self._candidates[key, job.queue] += 1

    def leave(self, job: JobView) -> None:
        """It is not queued any more, or elsewhere."""
        if job.waits_on:
            wait = self._waits[job.waits_on, job.queue]
            wait.leave(job, self._places[job.id])
            if not len(wait):
                del self._waits[job.waits_on, job.queue]
            return
        self.lines.leave(job)
        if key := self._let_go.get(job.id):
            self._candidates[key, job.queue] -= 1

    def plan(self, class_: Class, most: int) -> list[Pick]:
        """The jobs that are next in a class."""
        return self.lines.plan(class_, most, self._charge)

    def serve(self, class_: Class, taken: Sequence[Pick]) -> None:
        """These were taken."""
        self.lines.serve(class_, taken, self._charge)

    def shut(self, job: JobView, now: datetime) -> str | None:
        """The first of a job's limits that does not let it through now."""
        moment = to_us(now)
        return next((key for key in job.limits if not self._gate(key).free(self._rule(key), moment)), None)

    def start(self, job: JobView, now: datetime) -> None:
        """A job goes through its gates. Call it once the job is out of its line."""
        for key in job.limits:
            self._gate(key).take(self._rule(key), to_us(now))
        self.forget(job.id)

    def park(self, job: JobView, key: str, now: datetime) -> None:
        """A job is to wait before a gate. One that was let go, and came too late, has its place again."""
        wait = self._waits.setdefault((key, job.queue), Wait())
        if self._let_go.get(job.id) != key:
            self._places[job.id] = wait.next_place(job, self._charge(job.tenant or ""))
        wait.look_at = self._gate(key).look_at(self._rule(key), to_us(now))

    def parked(self, job: JobView) -> None:
        """It waits there."""
        self._let_go.pop(job.id, None)

    def let_go(self, now: datetime, job_of: Callable[[str], JobView]) -> list[str]:
        """The jobs that may stand in the line of their queue again, because their gate has room for them."""
        moment = to_us(now)
        return [
            id_
            for before, wait in sorted(self._waits.items(), key=lambda pair: pair[0])
            if wait.look_at is not None and wait.look_at <= moment
            for id_ in self._look(before, wait, moment, job_of)
        ]

    def settle(self, ended: Iterable[tuple[JobView, bool | None]], now: datetime) -> None:
        """Jobs stopped running: well, badly, or (None) so that it says nothing about their limits."""
        freed, oks, bads = Counter[str](), Counter[str](), Counter[str]()
        for job, well in ended:
            freed.update(job.limits)
            (oks if well else bads).update(job.limits if well is not None else ())
            self._charge_time(job, now)
        for key, n in freed.items():
            self._gate(key).settle(self._rule(key), n, oks[key], bads[key], to_us(now))
            self._look_at_once(key)

    def obey(self, orders: Iterable[Order], now: datetime) -> None:
        """Do what gates are told."""
        for order in orders:
            self._gate(order.key).obey(order, maybe_to_us(order.until), self._rule(order.key), to_us(now))
            self._look_at_once(order.key)

    def rule_changed(self, kind: str, name: str) -> bool:
        """A record was written; returns whether jobs wait that it may be of interest to."""
        keys = {key for key, _ in self._waits if kind == LIMIT and limit_of(key) == name}
        for key in keys:
            self._look_at_once(key)
        return bool(keys)

    def turned(self) -> tuple[Turned, ...]:
        """Breakers that opened or closed since this was last asked."""
        turned = sorted(gate.key for gate in self._gates.values() if gate.is_open != gate.told)
        for key in turned:
            self._gates[key].told = self._gates[key].is_open
        return tuple(Turned(key, self._gates[key].told) for key in turned)

    def next_moment(self) -> datetime | None:
        """When there is something to do that only time, or what has changed, brings about."""
        if any(gate.is_open != gate.told for gate in self._gates.values()):
            return from_us(AT_ONCE)
        moments = [wait.look_at for wait in self._waits.values() if wait.look_at is not None]
        return from_us(min(moments)) if moments else None

    def prune(self, now: datetime) -> None:
        """Forget what makes no difference any more."""
        self.lines.prune()
        waited_for = {key for key, _ in self._waits}
        for key, gate in list(self._gates.items()):
            if key not in waited_for and gate.is_idle(self._rule(key), to_us(now)):
                del self._gates[key]

    def forget(self, id_: str) -> None:
        """A job was started, or is gone: where it waited is of no account."""
        self._places.pop(id_, None)
        self._let_go.pop(id_, None)

    def views(self, keys: Sequence[str], limit: int, now: datetime) -> list[GateView]:
        """Gates as people see them: those named, or those at which anything is the matter."""
        moment = to_us(now)
        waiting = Counter[str]()
        for (key, _), wait in self._waits.items():
            waiting[key] += len(wait)
        busy = {key for key, gate in self._gates.items() if gate.running or gate.is_open or gate.until > moment}
        found = sorted(set(keys) if keys else busy | waiting.keys())[:limit]
        known = ((key, self._gates.get(key) or Gate(key=key)) for key in found)
        return [gate.view(self._rule(key), waiting[key], moment) for key, gate in known]

    def queue_rule(self, queue: str) -> QueueRule:
        """How a queue is shared and bounded."""
        return read_rule(self._text(QUEUE, queue), QueueRule)

    def _look(self, before: Before, wait: Wait, now: int, job_of: Callable[[str], JobView]) -> list[str]:
        key, _ = before
        gate, rule = self._gate(key), self._rule(key)
        room = min(gate.free(rule, now) - self._candidates[before], MOST_LET_GO)
        gone = wait.first(max(0, room))
        for id_ in gone:
            self._let_go[id_] = key
            wait.went(self._places[id_], self._charge(job_of(id_).tenant or ""))
        wait.look_at = AT_ONCE if len(gone) == MOST_LET_GO else gate.look_at(rule, now)
        return gone

    def _look_at_once(self, key: str) -> None:
        for (of, _), wait in self._waits.items():
            if of == key:
                wait.look_at = AT_ONCE

    def _charge_time(self, job: JobView, now: datetime) -> None:
        if job.started_at and self.queue_rule(job.queue).charge == "time":
            ran = to_us(now) - to_us(job.started_at)
            self.lines.charge(job, charge_for(ran, self._weight(job.tenant or "")))

    def _charge(self, tenant: str) -> int:
        return charge_of(self._weight(tenant))

    def _weight(self, tenant: str) -> int:
        return read_rule(self._text(TENANT, tenant), TenantRule).weight

    def _gate(self, key: str) -> Gate:
        return self._gates.setdefault(key, Gate(key=key))

    def _rule(self, key: str) -> GateRule:
        return read_rule(self._text(LIMIT, limit_of(key)), GateRule)
