"""Writing what files say: their texts, and their words for the database in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, bindparam, cast, delete, insert, select
from sqlalchemy.dialects.postgresql import TSVECTOR

from lamplighter.families.files.search import of_postgres, of_sqlite
from lamplighter.families.files.words import for_postgres, for_sqlite
from lamplighter.integrations.storage.file_tables import file_texts, files

LONGEST_TEXT = 192 * 1024  # bytes: PostgreSQL can hold the words of twice as much


class Said(NamedTuple):
    """What a file is found by."""

    id: int
    tenant_id: str
    name: str
    title: str | None = None
    text: str | None = None


def add_words(connection: Connection, said: Iterable[Said]) -> None:
    """Of files that have none yet."""
    is_postgres = connection.dialect.name == "postgresql"
    rows = [_for_postgres(one) if is_postgres else _for_sqlite(one) for one in said]
    if rows:
        connection.execute(_ADD_TO_POSTGRES if is_postgres else insert(of_sqlite), rows)


def remove_words(connection: Connection, ids: Sequence[int]) -> None:
    """Of these they are found by no more."""
    is_postgres = connection.dialect.name == "postgresql"
    table, key = (of_postgres, of_postgres.c.file_id) if is_postgres else (of_sqlite, of_sqlite.c.rowid)
    connection.execute(delete(table).where(key.in_(ids)))


def replace_words(connection: Connection, said: Sequence[Said]) -> None:
    """Of files that had others."""
    if said:
        remove_words(connection, [one.id for one in said])
        add_words(connection, said)


def renamed(connection: Connection, ids: Sequence[int]) -> None:
    """Their names have changed, and nothing else that they say."""
    if ids:
        replace_words(connection, [Said(*row) for row in connection.execute(_SAID.where(files.c.id.in_(ids)))])


def store_texts(connection: Connection, said: Sequence[Said]) -> None:
    """Keep what they say now, which may be nothing, and find them by it."""
    if not said:
        return
    connection.execute(delete(file_texts).where(file_texts.c.file_id.in_([one.id for one in said])))
    rows = [{"file_id": one.id, "text": one.text} for one in said if one.text]
    if rows:
        connection.execute(insert(file_texts), rows)
    replace_words(connection, said)


def delete_files(connection: Connection, ids: Sequence[int]) -> None:
    """All that is kept of these."""
    if ids:
        remove_words(connection, ids)
        connection.execute(delete(file_texts).where(file_texts.c.file_id.in_(ids)))
        connection.execute(delete(files).where(files.c.id.in_(ids)))


_SAID = select(files.c.id, files.c.tenant_id, files.c.name, files.c.title, file_texts.c.text).outerjoin(
    file_texts, file_texts.c.file_id == files.c.id
)
_ADD_TO_POSTGRES = insert(of_postgres).values(
    file_id=bindparam("file_id"), words=cast(bindparam("written", type_=Text), TSVECTOR)
)


def _for_postgres(one: Said) -> dict[str, Any]:
    return {"file_id": one.id, "written": for_postgres(one.tenant_id, one.name, one.title or "", one.text or "")}


def _for_sqlite(one: Said) -> dict[str, Any]:
    parts = {"name": one.name, "title": one.title or "", "body": one.text or ""}
    return {"rowid": one.id} | {part: for_sqlite(one.tenant_id, text) for part, text in parts.items()}
