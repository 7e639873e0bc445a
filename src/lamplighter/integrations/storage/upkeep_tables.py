"""What was done to keep databases well, and how large what is in them was. Times are as in `tables`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from lamplighter.integrations.storage.file_tables import metadata
from lamplighter.integrations.storage.tables import Id

__all__ = ["metadata", "upkeep_runs", "upkeep_sizes"]

upkeep_runs = Table(
    "lamp_upkeep_runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("task", Text, nullable=False),
    Column("place", Text, nullable=False),  # which database, without secrets
    Column("subject", Text, nullable=False),  # the table, index or file
    Column("asked_by", Text, nullable=False),  # who: "window", or a person
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # none: it goes on, or its process was killed
    Column("outcome", Text),
    Column("says", Text, nullable=False),
    Column("bytes_before", BigInteger),
    Column("bytes_after", BigInteger),
    Index(None, "began_at"),
)

upkeep_sizes = Table(
    "lamp_upkeep_sizes",
    metadata,
    Column("place", Id, primary_key=True),
    Column("name", Id, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Index(None, "at"),
)
