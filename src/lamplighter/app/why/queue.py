"""What its queue is in the way: it is paused, or others in it go first."""

from __future__ import annotations

from shlex import quote

from lamplighter.app.why.blocker import InLine, Paused
from lamplighter.app.why.sight import Sight
from lamplighter.core.model import QueueStats


def paused(sight: Sight) -> Paused | None:
    """Somebody has stopped its queue."""
    return pause_of(sight.queue) if sight.waiting and sight.queue.paused else None


def pause_of(queue: QueueStats) -> Paused:
    """That a queue is paused."""
    return Paused(
        queue=queue.queue,
        queued=queue.queued,
        says=f"its queue {queue.queue} is paused: `lamplighter queues resume {quote(queue.queue)}` lets it go on.",
    )


def in_line(sight: Sight) -> InLine | None:
    """Others are more urgent, were due before it, or are of tenants whose turn it is."""
    if sight.place is None or not sight.place.ahead:
        return None
    ahead, exact, own, tenants = sight.place
    jobs = f"{'' if exact else 'up to '}{ahead:,} {'job' if ahead == 1 else 'jobs'}"
    others = f" ({own:,} of its own tenant; {tenants:,} other{'' if tenants == 1 else 's'} take turns with it)"
    return InLine(
        queue=sight.queue.queue,
        ahead=ahead,
        exact=exact,
        own=own,
        tenants=tenants,
        says=f"{jobs} of its queue {sight.queue.queue} may go first{others if tenants else ''}: "
        "wait, or give jobs like it a higher priority.",
    )
