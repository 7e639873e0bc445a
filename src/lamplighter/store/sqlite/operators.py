"""What operators do to jobs: cancel, retry, forget and prune them."""

from __future__ import annotations

from lamplighter.core.model import ENDED, LIVE, MOVES, Cancelled, Keep, State, Where
from lamplighter.store.pack import pack
from lamplighter.store.sqlite import children, gates, keys, lines
from lamplighter.store.sqlite.batch import run, unpack
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.keys import KeyMove
from lamplighter.store.sqlite.moves import Moves, Moving
from lamplighter.store.sqlite.page import page
from lamplighter.store.sqlite.queries import SQL
from lamplighter.store.sqlite.tally import tally

MOST_FORGOTTEN = 10_000  # lines, and gates, in one go: some 20 ms
MOST_PAGES = 1000  # given back to the disk in one go, some 4 MB: it holds the file against other processes


def cancel(connection: Connection, where: Where, limit: int, now: int, keep_until: int | None) -> Cancelled:
    """See `base.Store.cancel`."""
    found = page(connection, where, limit, among=LIVE)
    running = [job.id for job in found if job.state == State.RUNNING]
    waiting = [job for job in found if job.state != State.RUNNING]
    run(connection, "ask_to_stop", ids=pack(running))
    children.release(connection, [job.id for job in waiting if job.state == State.HELD])
    moves = Moves(now)
    for job in waiting:
        key = job.unique.key if job.unique else None
        moving = Moving(job.id, job.fence, stopping=0, key=key, mode=None, group=job.group)
        moves.end(moving, State.CANCELLED, keep_until=keep_until, reason="cancelled")
    moves.write(connection)
    return Cancelled([job.id for job in waiting], running)


def retry(connection: Connection, where: Where, limit: int, now: int) -> list[str]:
    """See `base.Store.retry`."""
    found = page(connection, where, limit, among=MOVES["be retried"].sources)
    ended = [job for job in found if job.state in ENDED]
    run(connection, "queue_now", ids=pack([job.id for job in found if job.state not in ENDED]), now=now)
    run(connection, "revive", ids=pack([job.id for job in ended if job.children is None]), now=now)
    run(connection, "hold_again", ids=pack([job.id for job in ended if job.children is not None]), now=now)
    run(connection, "forget", ids=pack([job.id for job in ended]))
    tally(connection, ((job.group, job.state, -1) for job in ended if job.group))
    holders = [(job.id, job.unique) for job in ended if job.unique and job.unique.mode != "period"]
    keys.move(connection, [KeyMove("take", id_, unique.key) for id_, unique in holders], now)
    return [job.id for job in found]


def prune(connection: Connection, keep: Keep, limit: int, now: int) -> int:
    """See `base.Store.prune`."""
    removed = _forget(connection, _doomed(connection, keep, limit, now))
    run(connection, "forget_counts")
    lines.prune(connection, MOST_FORGOTTEN)
    gates.prune(connection, MOST_FORGOTTEN, now)
    run(connection, "expire_keys", now=now)
    run(connection, "expire_records", now=now)
    _shrink(connection)
    return removed


def forget(connection: Connection, where: Where, limit: int) -> list[str]:
    """See `base.Store.forget`."""
    found = [job.id for job in page(connection, where, limit, among=ENDED)]
    spared = set(unpack(connection, "spared", ids=pack(found)))
    gone = [id_ for id_ in found if id_ not in spared]
    _forget(connection, gone)
    return gone


def _forget(connection: Connection, ids: list[str]) -> int:
    """Delete these ended jobs, with all that is known of them; returns how many."""
    packed = pack(ids)
    run(connection, "forget_failures", ids=packed)
    run(connection, "forget_groups", ids=packed)
    return run(connection, "forget", ids=packed)


def _doomed(connection: Connection, keep: Keep, limit: int, now: int) -> list[str]:
    ids = dict.fromkeys(id_ for (id_,) in connection.execute(SQL["expired"], {"now": now, "limit": limit}))
    crowded = connection.execute(SQL["crowded"], {"done": keep.done, "failed": keep.failed}).fetchall()
    for queue, state, excess in crowded:
        if len(ids) >= limit:
            break
        # some of these may have expired too: only what is found on top of those counts towards the limit
        binds = {"queue": queue, "state": state, "excess": excess, "limit": limit}
        ids |= dict.fromkeys(id_ for (id_,) in connection.execute(SQL["oldest_ended"], binds))
    return list(ids)[: max(limit, 0)]


def _shrink(connection: Connection) -> None:
    """Give space back to the disk after a flood; what is free in quiet times will be needed again soon."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    if free > MOST_PAGES and free > pages / 2:
        for _ in range(MOST_PAGES):  # sqlite3 takes but the first step of the pragma, which gives one page back
            connection.execute("PRAGMA incremental_vacuum")
