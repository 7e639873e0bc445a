"""What people and services ask of an integration is written down, whatever comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lamplighter.core.errors import LamplighterError
from lamplighter.integrations.audit import AuditLog, Resource
from lamplighter.integrations.integration import Integration


@asynccontextmanager
async def audited(log: AuditLog, action: str, integration: Integration) -> AsyncIterator[dict[str, Any]]:
    """One record, once it is known how that ended; what is put into the dict goes into it as metadata.

    What cannot be written down fails: no token is given out that nobody would know of.
    """
    about = Resource("integration", integration.id, integration.tenant_id)
    metadata: dict[str, Any] = {}
    try:
        yield metadata
    except Exception as error:
        await log.add(action, about, error_message=_told(error))
        raise
    await log.add(action, about, metadata=metadata)


def _told(error: Exception) -> str:
    """The sentence of an error of ours; of another only its name, for nobody knows what it holds."""
    return str(error) if isinstance(error, LamplighterError) else type(error).__name__
