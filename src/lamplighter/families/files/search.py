"""Which files a query finds, the best first: by the words that `words` gave the database in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from lamplighter.families.files import query as written
from lamplighter.families.files.query import Query
from lamplighter.integrations.storage.file_tables import files

MOST_RANKED = 10_000

NAME = "lamp_file_words"
of_sqlite = Table(NAME, MetaData(), Column("rowid", BigInteger), *(Column(n, Text) for n in ("name", "title", "body")))
of_postgres = Table(NAME, MetaData(), Column("file_id", BigInteger, primary_key=True), Column("words", TSVECTOR))

_BY_BM25: ColumnElement[float] = literal_column(
    f"bm25({NAME}, 8.0, 4.0, 1.0)"
)  # the name, the title, the text; less is better
_MATCHES = text(f"{NAME} MATCH :query")


def best(
    connection: Connection,
    tenant_id: str,
    query: Query,
    conditions: Iterable[ColumnElement[bool]],
    *,
    limit: int,
    offset: int,
) -> Sequence[int]:
    """The ids of the files that match, ranked."""
    is_postgres = connection.dialect.name == "postgresql"
    statement, as_text = (_in_postgres, written.for_postgres) if is_postgres else (_in_sqlite, written.for_sqlite)
    found = statement(list(conditions)).limit(limit).offset(offset)
    return connection.execute(found, {"query": as_text(tenant_id, query)}).scalars().all()


def _in_sqlite(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """The newest that match, ranked: the words are gone through by id, and each file is looked up."""
    matching = select(of_sqlite.c.rowid.label("id"), _BY_BM25.label("rank")).where(_MATCHES)
    newest = matching.join(files, files.c.id == of_sqlite.c.rowid).where(*conditions)
    ranked = newest.order_by(of_sqlite.c.rowid.desc()).limit(MOST_RANKED).subquery()
    return select(ranked.c.id).order_by(ranked.c.rank, ranked.c.id.desc())


def _in_postgres(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    query = cast(bindparam("query", type_=Text), TSQUERY)
    matching = select(of_postgres.c.file_id.label("id"), of_postgres.c.words).where(of_postgres.c.words.op("@@")(query))
    newest = matching.join(files, files.c.id == of_postgres.c.file_id).where(*conditions)
    some = newest.order_by(of_postgres.c.file_id.desc()).limit(MOST_RANKED).subquery()
    return select(some.c.id).order_by(func.ts_rank(some.c.words, query).desc(), some.c.id.desc())
