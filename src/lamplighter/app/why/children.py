"""What its children are in the way: they have not ended, or were never added."""

from __future__ import annotations

from lamplighter.app.why.blocker import Held
from lamplighter.app.why.sight import Sight


def held(sight: Sight) -> Held | None:
    """It waits for them."""
    counted = sight.view.children if sight.view else None
    if counted is None or sight.children is None:
        return None
    running, waiting, oldest = sight.children
    missing = max(0, counted.total - counted.added)
    return Held(
        total=counted.total,
        ended=counted.ended,
        missing=missing,
        running=running,
        waiting=waiting,
        next=oldest,
        says=f"{counted.ended:,} of {counted.total:,} children have ended{_under_way(running, waiting)}: "
        f"{_hint(sight, settled=counted.settled, missing=missing, oldest=oldest)}.",
    )


def _under_way(running: int | None, waiting: int | None) -> str:
    if running is None or waiting is None:
        return ", very many are under way"
    told = [f"{n:,} {what}" for n, what in ((running, "running"), (waiting, "waiting")) if n]
    return f" ({', '.join(told)})" if told else ""


def _hint(sight: Sight, *, settled: bool, missing: int, oldest: str | None) -> str:
    if settled:
        return "the first worker that looks lets it go" if sight.alive else "start a worker, which lets it go"
    if oldest is not None and not missing:
        return f"wait, or see `lamplighter jobs why {oldest}`"
    never = f"{missing:,} {'was' if missing == 1 else 'were'} never added"
    return f"{never}, so enqueue the flow again under its id, or `lamplighter jobs cancel {sight.id}`"
