"""Which files of a source are to be read, and what became of those that were.

A file is counted as tried before it is read, and no more once there is a verdict: so one that takes its worker down
each time is given up. Those that were under way with it are read one by one, each alone, from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, select, update

from lamplighter.core.clock import maybe_from_us, to_us
from lamplighter.families.files.extraction.extracted import Extracted
from lamplighter.families.files.indexing import LONGEST_TEXT, Said, store_texts
from lamplighter.families.files.place import hold
from lamplighter.families.files.source import Entry
from lamplighter.families.files.tally import Tally
from lamplighter.families.files.words import clean, cut
from lamplighter.integrations.measuring.measure import put
from lamplighter.integrations.measuring.told import of_file
from lamplighter.integrations.storage.file_tables import files

BATCH = 16  # read one by one once a worker went down with them
MOST_TRIES = 3
GIVEN_UP = f"reading it took the worker down {MOST_TRIES} times: it is not tried again until it changes"
LONGEST_FIELD = 1000  # bytes
MOST_DETAILS = 100
MOST_PAGES = 2**31 - 1

_row = files.c


class ToRead(Struct, frozen=True):
    """A file to be read, as of so many changes. `digest`: of the content that was read last."""

    id: int
    changes: int
    digest: str | None
    entry: Entry
    is_suspect: bool = False  # it was under way when a worker went down


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of it: `extracted`; or its content is the `same` that was read last; or `reason`, why not."""

    file: ToRead
    digest: str | None = None
    extracted: Extracted | None = None
    reason: str | None = None

    @property
    def outcome(self) -> str:
        """In a word."""
        return "error" if self.reason is not None else "same" if self.extracted is None else "processed"


def take(connection: Connection, source_id: str, shard: int, after: int) -> list[ToRead]:
    """Some that are to be read, in the order of their ids. Raises Overtaken."""
    hold(connection, source_id)
    pending = (_row.source_id == source_id, _row.shard == shard, _row.status == "pending", _row.id > after)
    rows = connection.execute(select(files).where(*pending).order_by(_row.id).limit(BATCH)).all()
    hopeless = [row.id for row in rows if row.tries >= MOST_TRIES]
    _give_up(connection, source_id, hopeless)
    taken = _together([row for row in rows if row.tries < MOST_TRIES])
    return [ToRead(row.id, row.changes, row.digest, _entry(row), row.tries > 0) for row in taken]


def begin(connection: Connection, source_id: str, taken: Collection[ToRead]) -> None:
    """Now they are tried. Raises Overtaken."""
    hold(connection, source_id)
    statement = update(files).where(_row.id.in_([one.id for one in taken]))
    connection.execute(statement.values(tries=_row.tries + 1))


def give_back(connection: Connection, unread: Collection[ToRead]) -> None:
    """These were not read, and not for a fault of theirs."""
    statement = update(files).where(_row.id.in_([one.id for one in unread]), _row.tries > 0)
    connection.execute(statement.values(tries=_row.tries - 1))


def store(connection: Connection, source_id: str, verdicts: Sequence[Verdict], now: datetime) -> int:
    """Write them down; of a file that has changed since it was taken nothing, for it is to be read again. Returns how
    many counted. Raises Overtaken."""
    hold(connection, source_id)
    known = select(
        _row.id, _row.tenant_id, _row.name, _row.changes, _row.is_folder, _row.status, _row.mime_type, _row.details
    )
    found = known.where(_row.id.in_([one.file.id for one in verdicts]))
    rows: dict[int, Any] = {row.id: row for row in connection.execute(found)}
    valid = [one for one in verdicts if _counts(one, rows.get(one.file.id))]
    tally = Tally()
    for verdict in valid:
        tally.went(rows[verdict.file.id])
        tally.came("error" if verdict.reason is not None else "processed", is_folder=False)
        connection.execute(_UPDATE[verdict.outcome], _values(verdict, rows[verdict.file.id], now))
    read = [one for one in valid if one.outcome != "same"]
    put(
        connection,
        (
            of_file(one.file.id, rows[one.file.id].tenant_id, to_us(now), is_failed=one.reason is not None)
            for one in read
        ),
        now,
    )
    said = [_said(rows[one.file.id], one.extracted) for one in read]
    store_texts(connection, said)
    tally.store(connection, source_id)
    return len(valid)


def _counts(verdict: Verdict, row: Any) -> bool:
    return bool(row and row.status == "pending" and row.changes == verdict.file.changes)


def _together(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Those that were tried before, each alone."""
    if rows and rows[0].tries:
        return rows[:1]
    first_tried = next((n for n, row in enumerate(rows) if row.tries), len(rows))
    return rows[:first_tried]


def _give_up(connection: Connection, source_id: str, ids: Sequence[int]) -> None:
    if not ids:
        return
    tally = Tally()
    tally.pending -= len(ids)
    tally.failed += len(ids)
    connection.execute(update(files).where(_row.id.in_(ids)).values(status="error", reason=GIVEN_UP, tries=0))
    tally.store(connection, source_id)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.remote_id,
        name=row.name,
        parent=row.parent,
        path=row.path if row.by_path else None,
        revision=row.revision,
        size=row.size,
        mime_type=row.mime_type,
        created_at=maybe_from_us(row.created_at),
        modified_at=maybe_from_us(row.modified_at),
    )


_FOUND = ("title", "author", "language", "pages", "details")
_READ = ("status", "reason", "digest", "indexed_at")


def _update(*names: str) -> Any:
    return update(files).where(_row.id == bindparam("row_id")).values(tries=0, **{n: bindparam(n) for n in names})


_UPDATE = {
    "processed": _update(*_READ, *_FOUND, "mime_type"),
    "error": _update(*_READ, *_FOUND),
    "same": _update("status", "mime_type"),
}


def _values(verdict: Verdict, row: Any, now: datetime) -> dict[str, Any]:
    if verdict.outcome == "same":
        mime_type = (row.details or {}).get("mime_type", row.mime_type)
        return {"row_id": row.id, "status": "processed", "mime_type": mime_type}
    return {
        "row_id": row.id,
        "status": "error" if verdict.reason is not None else "processed",
        "reason": _short(verdict.reason),
        "digest": verdict.digest if verdict.extracted else None,
        "indexed_at": to_us(now),
        **_found(verdict.extracted),
        **({"mime_type": _short(verdict.extracted.mime_type)} if verdict.extracted else {}),
    }


def _found(extracted: Extracted | None) -> dict[str, Any]:
    if extracted is None:
        return dict.fromkeys(_FOUND)
    return {
        "title": _short(extracted.title),
        "author": _short(extracted.author),
        "language": _short(extracted.language),
        "pages": None if extracted.pages is None else max(0, min(extracted.pages, MOST_PAGES)),
        "details": _details(extracted),
    }


def _details(found: Extracted) -> dict[str, Any]:
    details: dict[str, Any] = {"mime_type": _short(found.mime_type)}
    details |= {f"document_{name}": moment.isoformat() for name, moment in _moments(found)}
    if found.is_cut:
        details["is_cut"] = True
    for name, value in list(found.details.items())[:MOST_DETAILS]:
        if isinstance(value, float) and not isfinite(value):
            continue  # JSON has no such number
        details.setdefault(cut(clean(name), LONGEST_FIELD), _short(value) if isinstance(value, str) else value)
    return details


def _moments(found: Extracted) -> list[tuple[str, datetime]]:
    moments = (("created_at", found.created_at), ("modified_at", found.modified_at))
    return [(name, moment) for name, moment in moments if moment is not None]


def _said(row: Row[Any], found: Extracted | None) -> Said:
    if found is None:
        return Said(row.id, row.tenant_id, row.name)
    return Said(row.id, row.tenant_id, row.name, _short(found.title), cut(clean(found.text), LONGEST_TEXT))


def _short(text: str | None) -> str | None:
    return None if text is None else cut(clean(text), LONGEST_FIELD)
