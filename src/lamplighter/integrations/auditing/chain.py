"""Chains of records: each hash is of the one before it and of the record, so that whatever is changed later shows.

    hash = SHA-256(hash before, a line end, the record as JSON), in hex

The JSON is what `canonical` writes: keys in order, ASCII, no spaces. A chain's first record follows `genesis` of its
name, which is its tenant's id, or "" for records that concern no single tenant. Whoever reads this can check a chain
with ten lines of any language.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Row, Select, Text, cast, select

from lamplighter.integrations.storage.tables import audit

SHARED = ""
"""The chain of records that concern no single tenant."""

FIELDS = (
    "id",
    "tenant_id",
    "user_id",
    "action",
    "resource_type",
    "resource_id",
    "result",
    "error_message",
    "at",
)
"""What of a record is sealed, beside its `details`. `at` is in microseconds since 1970."""

Content: TypeAlias = Mapping[str, Any]


class Sealed(NamedTuple):
    """A record in its place. No `content`: it was destroyed, and only its hash is left."""

    seq: int
    hash: str
    content: Content | None


class Run(NamedTuple):
    """Records that follow each other, and the hash of the last one."""

    first: int
    last: int
    last_hash: str


def genesis(chain: str) -> str:
    """What the first record of a chain is linked to: no record of one chain fits into another."""
    return hashlib.sha256(f"lamplighter audit 1\n{chain}".encode()).hexdigest()


def canonical(values: Content) -> str:
    """Always the same text for the same values."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def link(before: str, seq: int, content: Content) -> str:
    """The hash of a record that comes after the one with that hash."""
    return hashlib.sha256(f"{before}\n{canonical({**content, 'seq': seq})}".encode()).hexdigest()


def stored() -> Select[Any]:
    """Records with their places, to be read by `content_of` and `sealed`."""
    columns = [audit.c[name] for name in FIELDS]
    return select(*columns, cast(audit.c.details, Text).label("details"), audit.c.seq, audit.c.hash)


def content_of(row: Row[Any]) -> Content:
    """What is sealed of a row. Details that are no JSON any more stay the text that they are: that breaks the chain."""
    found = {name: getattr(row, name) for name in FIELDS}
    try:
        found["details"] = json.loads(row.details)
    except (ValueError, TypeError):
        found["details"] = row.details
    return found


def sealed(row: Row[Any]) -> Sealed:
    """A row that is sealed."""
    return Sealed(row.seq, row.hash, content_of(row))


def runs(records: Iterable[tuple[int, str]]) -> list[Run]:
    """Places and hashes, in order, as few runs."""
    found: list[Run] = []
    for seq, hash_ in records:
        if found and seq == found[-1].last + 1:
            found[-1] = Run(found[-1].first, seq, hash_)
        else:
            found.append(Run(seq, seq, hash_))
    return found
