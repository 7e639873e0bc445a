"""How far a source is told: the row that every change of its files takes first, so that they come one after another."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from lamplighter.families.files.file_source import Phase
from lamplighter.integrations.storage.file_tables import file_sources

_row = file_sources.c
_PLACE = select(_row.id, _row.tenant_id, _row.phase, _row.cursor, _row.step, _row.listed_from)


class Place(NamedTuple):
    """Where a source's index goes on."""

    source_id: str
    tenant_id: str
    phase: Phase
    cursor: str | None
    step: int
    listed_from: int

    def columns(self) -> dict[str, Any]:
        """What of it changes."""
        return {"phase": self.phase, "cursor": self.cursor, "step": self.step, "listed_from": self.listed_from}

    def listing(self) -> Place:
        """Where a listing begins: what is told from then on is there, and what is not told by its end is gone."""
        return self._replace(phase="listing", cursor=None, step=self.step + 1, listed_from=self.step + 2)


class Overtaken(Exception):
    """The source went on, was paused or removed meanwhile: what was read of it before is worth nothing any more."""


def place_of(connection: Connection, source_id: str) -> Place | None:
    """None: it is not active."""
    row = connection.execute(_PLACE.where(_row.id == source_id, _row.state == "active")).first()
    return None if row is None else Place(*row)


def hold(connection: Connection, source_id: str) -> Place:
    """The same, and nobody else changes its files until the transaction ends. Raises Overtaken."""
    row = connection.execute(_PLACE.where(_row.id == source_id, _row.state == "active").with_for_update()).first()
    if row is None:
        raise Overtaken
    return Place(*row)


def hold_at(connection: Connection, place: Place) -> None:
    """Raises Overtaken also if it is somewhere else by now."""
    if hold(connection, place.source_id) != place:
        raise Overtaken
