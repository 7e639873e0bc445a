"""Integrations in plain JSON or CSV, with the same fields in both. Tokens are in plain text."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterator
from typing import get_args

from lamplighter.core.errors import ConfigError
from lamplighter.integrations.imports import fields as f
from lamplighter.integrations.imports.document import document
from lamplighter.integrations.imports.fault import BadRecord
from lamplighter.integrations.imports.source import Piece
from lamplighter.integrations.integration import Before, NewIntegration
from lamplighter.integrations.tenants import Tenant

FIELDS = (
    "tenant_id",
    "provider",
    "access_token",
    "refresh_token",
    "expires_at",
    "scopes",
    "status",
    "connected_at",
    "id",
    "tenant_name",
    "tenant_owner",
)
NEEDED = ("tenant_id", "provider")
STATUSES = get_args(Before)

Read = Callable[[Piece], f.Fields]


def read_json(piece: Piece) -> f.Fields:
    """The fields of a document. Raises BadRecord."""
    found = document(piece)
    for place, name in enumerate(found, start=1):
        if name not in FIELDS:
            raise BadRecord(f"its field {place} is none of ours: {_hint(name)}")
    return found


def csv_reader(lines: Iterator[Piece]) -> Read:
    """Take the header off; what then reads the lines. Raises ConfigError."""
    header = next(lines, None)
    try:
        columns = [] if header is None else [name.strip().lower() for name in _cells(header)]
    except BadRecord as error:
        raise ConfigError(f"the header cannot be read: {error}") from None
    for place, name in enumerate(columns, start=1):
        if name not in FIELDS:  # which is not shown: without a header it would be somebody's token
            raise ConfigError(f"column {place} of the header is none of ours: {_hint(name)}")
    if len(set(columns)) < len(columns) or not set(NEEDED) <= set(columns):
        raise ConfigError(f"the header must name {' and '.join(NEEDED)}, and no column twice: correct the first line.")

    def read(piece: Piece) -> f.Fields:
        cells = _cells(piece)
        if len(cells) != len(columns):
            raise BadRecord(
                f"it has {len(cells)} columns instead of {len(columns)}: put quotes around what holds a comma."
            )
        return dict(zip(columns, map(str.strip, cells), strict=True))

    return read


def integration(fields: f.Fields) -> NewIntegration:
    """The integration of a record. Raises BadRecord."""
    status = f.text(fields, "status") or "active"
    if status not in (*STATUSES, "pending"):
        raise BadRecord(f"status is none of {', '.join(STATUSES)}: write one of them, or none.")
    return NewIntegration(
        id=f.our_id(fields, "id"),
        tenant_id=f.needed(fields, "tenant_id"),
        provider_slug=f.needed(fields, "provider"),
        access_token=f.token(fields, "access_token"),
        refresh_token=f.token(fields, "refresh_token"),
        expires_at=f.moment(fields, "expires_at"),
        scopes=f.scopes(fields, "scopes"),
        status="active" if status == "pending" else status,  # type: ignore[arg-type]  # checked above
        connected_at=f.moment(fields, "connected_at"),
    )


def tenant(fields: f.Fields) -> Tenant | None:
    """The tenant that a record brings along, if it does. Raises BadRecord."""
    name, owner = f.text(fields, "tenant_name"), f.text(fields, "tenant_owner")
    if name is None or owner is None:
        return None
    return Tenant(id=f.needed(fields, "tenant_id"), name=name, owner_id=owner)


def _cells(piece: Piece) -> list[str]:
    """The cells of one line. A quoted line break is refused: a forgotten quote would swallow the records after it."""
    try:
        [cells] = csv.reader([piece.text()], strict=True)
    except (csv.Error, ValueError):
        raise BadRecord("it is no line of CSV: close its quotes, and shorten what is very long.") from None
    return cells


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name[: f.LONGEST_NAME], FIELDS, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(FIELDS)}."
