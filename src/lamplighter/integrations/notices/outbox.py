"""The one way in: whatever people are to be told becomes a notice, in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.integrations.notices.events import BadEvent, find
from lamplighter.integrations.storage.database import insert_into
from lamplighter.integrations.storage.tables import notices, tenants

Fact = str | int | float | bool | None

LONGEST_KEY = 200  # characters
MOST_FACTS = 20
LONGEST_FACT_NAME = 40
LONGEST_FACT = 500
LARGEST_NUMBER = 2**53


def put(
    connection: Connection,
    event: str,
    *,
    tenant_id: str | None,
    at: datetime,
    **columns: Any,
) -> bool:
    """Tell that tenant, and the operators; or with None the operators alone. True unless that was told before.

    `columns`: those of an integration's notice, or key and facts of another.
    """
    notice = {
        "id": new_id(to_us(at)),
        "tenant_id": tenant_id,
        "event": event,
        "at": to_us(at),
        "is_new": True,
    } | columns
    statement = insert_into(connection, notices).on_conflict_do_nothing().returning(notices.c.id)
    return connection.execute(statement, notice).first() is not None


def tell(
    connection: Connection,
    event: str,
    *,
    key: str,
    tenant_id: str | None,
    facts: Mapping[str, Fact],
    at: datetime,
) -> bool:
    """The same for families and hosts: what they say is checked.

    Raises:
        BadEvent: no such event is declared, it is not for that tenant, or the key or a fact cannot be.
    """
    declared = find(event)
    if event.startswith(("integration.", "alert.")):
        raise BadEvent(f"{event} is told by Lamplighter itself: declare an event of your own.")
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise BadEvent(f"the key of {event} cannot be: give 1 to {LONGEST_KEY} printable characters.")
    if tenant_id is not None and not declared.for_tenants:
        raise BadEvent(f"tenants do not hear of {event}: tell the operators, without tenant_id.")
    if tenant_id is not None and not connection.execute(select(tenants.c.id).where(tenants.c.id == tenant_id)).first():
        raise BadEvent(f"there is no tenant {tenant_id!r:.60}: add it first.")
    unique = f"{event} {tenant_id or ''} {key}"
    return put(connection, event, tenant_id=tenant_id, at=at, key=unique, facts=_checked(event, facts))


def _checked(event: str, facts: Mapping[str, Fact]) -> dict[str, Fact]:
    if len(facts) > MOST_FACTS:
        raise BadEvent(f"{event} has {len(facts)} facts: give at most {MOST_FACTS}.")
    for name, value in facts.items():
        if not name.isidentifier() or len(name) > LONGEST_FACT_NAME:
            raise BadEvent(f"{event} cannot have a fact {name!r:.60}: give a name such as month.")
        if not _is_plain(value):
            raise BadEvent(f"the fact {name} of {event} cannot be: give a text, a number, a truth value or None.")
    return {name: value[:LONGEST_FACT] if isinstance(value, str) else value for name, value in facts.items()}


def _is_plain(value: object) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) <= LARGEST_NUMBER  # neither infinite nor no number
    return value is None or isinstance(value, bool) or (isinstance(value, str) and "\x00" not in value)
