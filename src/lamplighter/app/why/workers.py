"""What workers are in the way: there are none, or none that would take the job."""

from __future__ import annotations

from shlex import quote

from lamplighter.app.why.blocker import Busy, Deaf, NotServed, NoWorker, Stopping
from lamplighter.app.why.sight import Sight, WorkerSeen
from lamplighter.app.why.telling import named, rough


def no_worker(sight: Sight) -> NoWorker | None:
    """Nobody is there to run anything."""
    if not sight.waiting or sight.alive:
        return None
    silent = _silent_for(sight, sight.seen)
    last = "" if silent is None else f", and the last one has been silent for {rough(silent)}"
    return NoWorker(
        queue=sight.queue.queue,
        silent_for=silent,
        says=f"no worker is alive{last}: start one with `lamplighter work MODULE:APP`.",
    )


def not_served(sight: Sight) -> NotServed | None:
    """Workers are alive, but for other queues."""
    if not sight.waiting or not sight.alive or sight.serving:
        return None
    name, queues = sight.queue.queue, sorted({queue for worker in sight.alive for queue in worker.told.queues})
    silent = _silent_for(sight, [worker for worker in sight.seen if worker.serves(name)])
    last = "" if silent is None else f"; the last one that did has been silent for {rough(silent)}"
    return NotServed(
        queue=name,
        workers=len(sight.alive),
        queues=tuple(queues),
        silent_for=silent,
        says=f"no worker serves its queue {name}, only {named(queues)}{last}: "
        f"start one with `lamplighter work MODULE:APP --queue {quote(name)}`.",
    )


def stopping(sight: Sight) -> Stopping | None:
    """Those that serve its queue finish what they have, and go."""
    if not sight.waiting or not sight.serving or not all(one.told.stopping for one in sight.serving):
        return None
    names = _names(sight.serving)
    return Stopping(
        queue=sight.queue.queue,
        workers=names,
        says=f"every worker of its queue {sight.queue.queue} is stopping ({named(names)}): start another.",
    )


def deaf(sight: Sight) -> Deaf | None:
    """No worker takes jobs that could, though some beat: their leases are renewed by a thread of its own."""
    found = [one for one in sight.serving if not one.told.stopping and one.is_deaf(sight.now)]
    if not sight.waiting or not found or any(one.has_room for one in sight.claiming):
        return None
    names, since = _names(found), min(one.silent_claims(sight.now) for one in found).total_seconds()
    return Deaf(
        queue=sight.queue.queue,
        workers=names,
        deaf_for=since,
        says=f"{named(names)} beats and has room, but has not asked for jobs for {rough(since)}: a handler blocks its "
        "event loop, or the store refuses its claims; see its log, or restart it.",
    )


def busy(sight: Sight) -> Busy | None:
    """Every slot for jobs of its queue is taken."""
    if not sight.is_due or not sight.claiming or any(one.has_room for one in sight.claiming):
        return None
    slots = sum(one.told.concurrency for one in sight.claiming)
    return Busy(
        queue=sight.queue.queue,
        workers=len(sight.claiming),
        running=sum(one.told.running for one in sight.claiming),
        concurrency=slots,
        says=f"all {slots:,} slots of workers of its queue are taken: wait, start more, or raise their concurrency.",
    )


def _names(workers: list[WorkerSeen]) -> tuple[str, ...]:
    return tuple(worker.name for worker in workers)


def _silent_for(sight: Sight, workers: list[WorkerSeen]) -> float | None:
    """Seconds since the last of them beat."""
    last = max((worker.beat_at for worker in workers), default=None)
    return None if last is None else (sight.now - last).total_seconds()
