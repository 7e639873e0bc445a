"""A change of an integration's status: whatever follows from it is written in the transaction that changes it.

    row, integrations -> record -> the past of its health · a notice for people · the audit log

Each change has a number of its integration, so that a transaction which is run twice tells of it once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from lamplighter.integrations import audit
from lamplighter.integrations.health import span
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.notices.outbox import put

Event = Literal[
    "integration.connected",
    "integration.disconnected",
    "integration.recovered",
    "integration.expired",
    "integration.revoked",
    "integration.error",
]

EVENTS: dict[str, Event] = {  # what a status means that came by itself
    "active": "integration.recovered",
    "expired": "integration.expired",
    "revoked": "integration.revoked",
    "error": "integration.error",
    "pending": "integration.disconnected",
}
HEALTH: dict[str, Health | None] = {
    "active": "healthy",  # the provider has just given it tokens
    "expired": "expired",
    "revoked": "unauthorized",
    "error": "error",
    "pending": None,
}


class Transition(NamedTuple):
    """The `number`th change of an integration's status."""

    integration_id: str
    number: int
    tenant_id: str
    provider_slug: str
    status: str
    reason: str | None
    at: datetime


def record(connection: Connection, change: Transition, event: Event | None = None) -> None:
    """Write down what follows from it. `event`: where the status alone does not say it."""
    event = event or EVENTS[change.status]
    span.note(connection, change.integration_id, span.Seen(HEALTH[change.status], change.reason), change.at)
    put(
        connection,
        event,
        tenant_id=change.tenant_id,
        at=change.at,
        integration_id=change.integration_id,
        transition=change.number,
        provider_slug=change.provider_slug,
        reason=change.reason,
    )
    changes = {"status": change.status} | ({"reason": change.reason} if change.reason else {})
    about = audit.Resource("integration", change.integration_id, change.tenant_id)
    audit.record(connection, event, [about], change.at, changes=changes)
