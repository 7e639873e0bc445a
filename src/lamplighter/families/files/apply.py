"""One page of a source put into the index, in one transaction with the cursor that comes after it.

What a page says of a folder may concern a million files in it. Those are not changed here: the folder is marked with
what is `due`, and `settle` does that in transactions of bounded size before the next page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from lamplighter.core.clock import to_us
from lamplighter.families.files import paths
from lamplighter.families.files.file_source import Phase
from lamplighter.families.files.indexing import Said, add_words, delete_files, remove_words, renamed
from lamplighter.families.files.place import Place, hold_at
from lamplighter.families.files.source import Page
from lamplighter.families.files.tally import Tally
from lamplighter.families.files.told import Told, is_id, kept, shard_of
from lamplighter.families.files.words import cut
from lamplighter.integrations.storage.file_tables import file_texts, files

MOST_IDS = 500  # asked for in one statement
_READING = ("status", "reason", "changes", "tries", "due")
_UNREAD: dict[str, Any] = dict.fromkeys(
    ("digest", "title", "author", "language", "pages", "details", "indexed_at"), None
)

_row = files.c


class Applied(NamedTuple):
    """The place after a page, how much was told anew, and whether there is something to read since."""

    place: Place
    changed: int
    is_to_be_read: bool


def apply(connection: Connection, place: Place, page: Page, again_at: datetime) -> Applied:
    """Put it into the index. `again_at`: when to look again if nobody goes on from there. Raises Overtaken."""
    hold_at(connection, place)
    step, tally = place.step + 1, Tally()
    told = kept(page.entries)
    gone = [id_ for id_ in dict.fromkeys(page.gone) if id_ not in told and is_id(id_)]
    there = _rows(connection, place.source_id, [*told, *gone])
    _remove(connection, [there[id_] for id_ in gone if id_ in there], step, tally)
    _move_below(connection, place.source_id, told, there)
    renewed = {id_ for id_ in page.gone if id_ in told and told[id_].path is not None}
    _Writing(connection, place, step, tally, renewed).write(told, there)
    phase: Phase = "pruning" if place.phase == "listing" and page.is_last else place.phase
    after = place._replace(phase=phase, cursor=page.cursor, step=step)
    tally.store(connection, place.source_id, **after.columns(), next_sync_at=to_us(again_at))
    return Applied(after, tally.changed, tally.pending > 0)


class _Writing:
    """The entries of one page, written."""

    def __init__(self, connection: Connection, place: Place, step: int, tally: Tally, renewed: Collection[str]) -> None:
        self._connection = connection
        self._place = place
        self._step = step
        self._tally = tally
        self._renewed = renewed  # gone and there again, under the same path: without what was in it
        self._changed: list[dict[str, Any]] = []
        self._renamed: list[int] = []
        self._turned: list[int] = []  # from a file to a folder, or back
        self._same: list[int] = []

    def write(self, told: Mapping[str, Told], there: Mapping[str, Row[Any]]) -> None:
        where = self._paths(told)
        new = [self._new(one, where[id_]) for id_, one in told.items() if id_ not in there]
        for id_, one in told.items():
            if id_ in there:
                self._change(one, where[id_], there[id_])
        self._insert(new)
        self._update()
        self._tally.changed += len(new)
        self._mark_moved([id_ for id_, one in told.items() if _moves_others(one, where[id_], there.get(id_))])

    def _paths(self, told: Mapping[str, Told]) -> dict[str, str]:
        linked = {id_: one.link for id_, one in told.items() if one.path is None}
        above = {one.parent for one in linked.values() if one.parent is not None and one.parent not in linked}
        folders = _rows(self._connection, self._place.source_id, above)
        known = {id_: row.path for id_, row in folders.items() if row.is_folder}
        return {id_: one.path for id_, one in told.items() if one.path is not None} | paths.resolve(linked, known)

    def _new(self, one: Told, path: str) -> dict[str, Any]:
        status = "processed" if one.is_folder else "pending"
        self._tally.came(status, is_folder=one.is_folder)
        return one.fields() | {
            "tenant_id": self._place.tenant_id,
            "source_id": self._place.source_id,
            "path": path,
            "seen": self._step,
            "status": status,
            "changes": 0,
            "tries": 0,
            "shard": shard_of(one.remote_id),
        }

    def _change(self, one: Told, path: str, row: Row[Any]) -> None:
        values = one.fields() | {"path": path} | {name: getattr(row, name) for name in _READING}
        if one.is_folder != row.is_folder:
            values |= self._turn(one, row)
        elif not one.is_folder and one.is_other_content(row):
            values |= {"status": "pending", "reason": None, "changes": row.changes + 1, "tries": 0}
        elif row.status == "processed":
            values["mime_type"] = row.mime_type  # what its content told is known better
        if one.is_folder and row.is_folder and one.remote_id in self._renewed:
            values["due"] = "empty"
        if all(value == getattr(row, name) for name, value in values.items()):
            self._same.append(row.id)
            return
        if not one.is_folder and (one.name != row.name or row.is_folder):
            self._renamed.append(row.id)
        self._tally.changed += 1
        self._tally.went(row)
        self._tally.came(values["status"], is_folder=one.is_folder)
        self._changed.append({"row_id": row.id, "seen": self._step, **values})

    def _turn(self, one: Told, row: Row[Any]) -> dict[str, Any]:
        """There is a folder where a file was, or the other way round."""
        self._turned.append(row.id)
        status, due = ("processed", None) if one.is_folder else ("pending", "empty")
        return {"status": status, "due": due, "reason": None, "changes": row.changes + 1, "tries": 0}

    def _insert(self, new: Sequence[Mapping[str, Any]]) -> None:
        if not new:
            return
        added = self._connection.execute(insert(files).returning(_row.id, _row.name, _row.is_folder), new)
        tenant_id = self._place.tenant_id
        add_words(self._connection, [Said(id_, tenant_id, name) for id_, name, is_folder in added if not is_folder])

    def _update(self) -> None:
        connection = self._connection
        if self._same:
            connection.execute(update(files).where(_row.id.in_(self._same)).values(seen=self._step))
        if self._changed:
            names = [name for name in self._changed[0] if name != "row_id"]
            statement = update(files).where(_row.id == bindparam("row_id")).values({n: bindparam(n) for n in names})
            connection.execute(statement, self._changed)
        if self._turned:
            remove_words(connection, self._turned)
            connection.execute(file_texts.delete().where(file_texts.c.file_id.in_(self._turned)))
            connection.execute(update(files).where(_row.id.in_(self._turned)).values(_UNREAD))
        renamed(connection, self._renamed)

    def _mark_moved(self, ids: Sequence[str]) -> None:
        """Folders that are new or elsewhere, and in which there is something already."""
        for some in _chunks(ids):
            inside = select(_row.parent).where(_row.source_id == self._place.source_id, _row.parent.in_(some))
            self._connection.execute(
                update(files)
                .where(_row.source_id == self._place.source_id, _row.remote_id.in_(inside.distinct()))
                .where(_row.due.is_(None))
                .values(due="move")
            )


def _remove(connection: Connection, rows: Iterable[Row[Any]], step: int, tally: Tally) -> None:
    """Files go at once; a folder goes once what is in it has gone."""
    gone = list(rows)
    for row in gone:
        tally.went(row)
    tally.changed += len(gone)
    delete_files(connection, [row.id for row in gone if not row.is_folder])
    if folders := [row.id for row in gone if row.is_folder]:
        connection.execute(update(files).where(_row.id.in_(folders)).values(due="delete", seen=step))


def _moves_others(one: Told, path: str, row: Row[Any] | None) -> bool:
    if not one.is_folder or one.path is not None:
        return False
    return row is None or row.path != path or not row.is_folder


def _move_below(
    connection: Connection, source_id: str, told: Mapping[str, Told], there: Mapping[str, Row[Any]]
) -> None:
    """A folder of a source that tells paths is elsewhere: what is in it goes with it, by its path.

    By way of places that no file has, since one folder may take the place of another. The deepest first.
    """
    moves = [
        (row.path, one.path)
        for id_, one in told.items()
        if (row := there.get(id_)) is not None and one.path is not None and row.is_folder and one.is_folder
        if row.path != one.path
    ]
    moves.sort(key=lambda move: move[0].count("/"), reverse=True)
    for number, (from_, _) in enumerate(moves):
        _rebase(connection, source_id, from_, f"\x01{number}")
    for number, (_, to) in enumerate(moves):
        _rebase(connection, source_id, f"\x01{number}", to)


def _rebase(connection: Connection, source_id: str, from_: str, to: str) -> None:
    statement = select(_row.id, _row.path).where(
        _row.source_id == source_id, _row.path >= f"{from_}/", _row.path < f"{from_}0", _row.by_path
    )
    move = update(files).where(_row.id == bindparam("row_id")).values(path=bindparam("to"))
    while rows := connection.execute(statement.limit(MOST_IDS)).all():
        moved = [{"row_id": row.id, "to": cut(to + row.path[len(from_) :], paths.LONGEST)} for row in rows]
        connection.execute(move, moved)


def _rows(connection: Connection, source_id: str, ids: Collection[str]) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for some in _chunks(list(ids)):
        statement = select(files).where(_row.source_id == source_id, _row.remote_id.in_(some))
        found |= {row.remote_id: row for row in connection.execute(statement)}
    return found


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + MOST_IDS] for at in range(0, len(ids), MOST_IDS))
