"""What is due to what is in folders, done in transactions of bounded size: moved, deleted, let go of.

Between two pages this holds: whatever is in a folder has the folder's path before its name, or the folder is marked to
`move`. So it does not matter in which order a source tells of folders and of what is in them. Marks:

    move      what is in it has a path that the folder no longer has
    empty     what is in it goes, and the mark
    delete    what is in it goes, and the folder
    release   what is in it is told of elsewhere by now: it is left without a folder, which goes
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, or_, select, update

from lamplighter.families.files import paths
from lamplighter.families.files.indexing import delete_files
from lamplighter.families.files.place import Place, hold_at
from lamplighter.families.files.tally import Tally
from lamplighter.integrations.storage.file_tables import file_sources, files

BATCH = 500  # rows in one transaction: refreshes wait for no more

_row = files.c
_MOVE = update(files).where(_row.id == bindparam("row_id")).values(path=bindparam("to"), due=bindparam("mark"))


class Settling:
    """Settles a source that is at a place. `batch`: rows in a transaction."""

    def __init__(self, place: Place, *, batch: int = BATCH) -> None:
        self._place = place
        self._batch = batch
        self._last: dict[tuple[int, str], int] = {}  # in a folder with a path: up to where it is done

    def step(self, connection: Connection) -> bool:
        """One transaction of it; returns whether there may be more. Raises Overtaken."""
        hold_at(connection, self._place)
        tally, left = Tally(), self._batch
        marked = select(files).where(_row.source_id == self._place.source_id, _row.due.is_not(None))
        folders = connection.execute(marked.order_by(_row.id).limit(self._batch)).all()
        for folder in folders:
            left -= self._settle(connection, folder, left, tally) + 1
            if left <= 0:
                break
        tally.store(connection, self._place.source_id)
        return bool(folders)

    def _settle(self, connection: Connection, folder: Row[Any], limit: int, tally: Tally) -> int:
        if folder.due in {"move", "release"}:
            return self._move(connection, folder, limit)
        return self._empty(connection, folder, limit, tally)

    def _move(self, connection: Connection, folder: Row[Any], limit: int) -> int:
        path = folder.path if folder.due == "move" else ""
        key = (folder.id, path)
        inside = select(files).where(_inside(folder), _row.id > self._last.get(key, 0)).order_by(_row.id)
        rows = connection.execute(inside.limit(limit)).all()
        moved = [(row, to) for row in rows if (to := paths.join(path, row.name)) != row.path]
        if moved:
            connection.execute(_MOVE, [{"row_id": row.id, "to": to, "mark": _mark(row)} for row, to in moved])
        if len(rows) == limit:
            self._last[key] = rows[-1].id
        else:
            self._last.pop(key, None)
            _unmark(connection, folder)
        return len(rows)

    def _empty(self, connection: Connection, folder: Row[Any], limit: int, tally: Tally) -> int:
        rows = connection.execute(select(files).where(_below(folder)).limit(limit)).all()
        folders = [row.id for row in rows if row.is_folder and not row.by_path]
        for row in rows:
            tally.went(row)
        delete_files(connection, [row.id for row in rows if not row.is_folder or row.by_path])
        if folders:
            connection.execute(update(files).where(_row.id.in_(folders)).values(due="delete", seen=folder.seen))
        if len(rows) < limit:
            _unmark(connection, folder)
        return len(rows)


def prune(connection: Connection, place: Place, after: int, *, batch: int = BATCH) -> int | None:
    """Take out some of what the listing that has ended did not tell of, from an id on. Returns up to which it is done;
    None: all. Raises Overtaken."""
    hold_at(connection, place)
    tally = Tally()
    unseen = select(files).where(_row.source_id == place.source_id, _row.seen < place.listed_from)
    rows = connection.execute(unseen.where(_row.id > after).order_by(_row.id).limit(batch)).all()
    folders = [row.id for row in rows if row.is_folder and not row.by_path]
    for row in rows:
        tally.went(row)
    delete_files(connection, [row.id for row in rows if not row.is_folder or row.by_path])
    if folders:
        connection.execute(update(files).where(_row.id.in_(folders)).values(due="release"))
    tally.store(connection, place.source_id)
    return rows[-1].id if len(rows) == batch else None


def remove(connection: Connection, source_id: str, *, batch: int = BATCH) -> bool:
    """Delete some files of a source that is removed, and at last the source; returns whether there are more."""
    row = file_sources.c
    removed = select(row.id).where(row.id == source_id, row.state == "removed").with_for_update()
    if connection.execute(removed).first() is None:
        return False
    ids = connection.execute(select(_row.id).where(_row.source_id == source_id).limit(batch)).scalars().all()
    delete_files(connection, ids)
    if not ids:
        connection.execute(delete(file_sources).where(row.id == source_id))
    return bool(ids)


def _mark(row: Row[Any]) -> str | None:
    """A folder that has moved moves others; one that is to go does not come back."""
    return row.due or ("move" if row.is_folder else None)


def _unmark(connection: Connection, folder: Row[Any]) -> None:
    if folder.due in {"delete", "release"}:
        delete_files(connection, [folder.id])
    else:
        same = (_row.id == folder.id, _row.due == folder.due, _row.path == folder.path)
        connection.execute(update(files).where(*same).values(due=None))


def _inside(folder: Row[Any]) -> ColumnElement[bool]:
    return and_(_row.source_id == folder.source_id, _row.parent == folder.remote_id)


def _below(folder: Row[Any]) -> ColumnElement[bool]:
    """What goes with it: what is in it, or where its source tells paths, what is below it and was not told of since."""
    if not folder.by_path:
        return and_(_inside(folder), or_(_row.due.is_(None), _row.due != "delete"))
    below = or_(_under(_row.path, folder.path), _under(_row.remote_id, folder.remote_id.rstrip("/")))
    return and_(_row.source_id == folder.source_id, below, _row.seen < folder.seen)


def _under(column: ColumnElement[str], folder: str) -> ColumnElement[bool]:
    return and_(column >= f"{folder}/", column < f"{folder}0")
