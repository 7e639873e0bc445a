"""Full queues: bounds on how many jobs of a queue, or of a tenant in it, may wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lamplighter.core.model import JobView, NewJob
from lamplighter.store.memory.flow_control import FlowControl
from lamplighter.store.memory.shelf import Shelf
from lamplighter.store.rules import queue_full

Part = tuple[str, str | None]  # a queue, or what a tenant has of it


class Bounds:
    """Those that hold for a batch that is added."""

    def __init__(self, jobs: Shelf, flow: FlowControl, batch: Sequence[NewJob]) -> None:
        self._jobs = jobs
        self._flow = flow
        new = {job.id: job for job in reversed(batch) if job.id not in jobs}.values()
        self._come = Counter[Part]((job.queue, None) for job in new)
        self._come += Counter[Part]((job.queue, job.tenant or "") for job in new)

    def refuse(self) -> None:
        """Raise QueueFull where the batch does not fit, unless the oldest make room there."""
        for (queue, tenant), most in self._bounded(drop=False):
            if self._jobs.waiting(queue, tenant) + self._come[queue, tenant] > most:
                raise queue_full(queue, tenant, most)

    def excess(self) -> Iterator[JobView]:
        """The oldest jobs that are too many where they make room, while the caller ends each that it is given."""
        for (queue, tenant), most in self._bounded(drop=True):
            yield from self._jobs.oldest_waiting(queue, tenant, max(0, self._jobs.waiting(queue, tenant) - most))

    def _bounded(self, *, drop: bool) -> Iterator[tuple[Part, int]]:
        for queue, tenant in sorted(self._come, key=lambda part: part[1] is not None):
            rule = self._flow.queue_rule(queue)
            most = rule.most if tenant is None else rule.most_per_tenant
            if most is not None and rule.drop is drop:
                yield (queue, tenant), most
