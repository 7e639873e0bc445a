"""What routes about the audit log have in common: which records a request asks for, and which its caller may see."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from msgspec import Struct

from lamplighter.app import App
from lamplighter.core.errors import ConfigError
from lamplighter.families.audit.search import Filter, Page, Search
from lamplighter.families.audit.storage import Storage, open_storage
from lamplighter.integrations.auditing.chain import SHARED
from lamplighter.integrations.auditing.policy import LONGEST_PATTERN, checked_scope
from lamplighter.integrations.service import Service
from lamplighter.web.auth import LONGEST_ID, Forbidden, visible_tenants
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.roles import Caller, Role

LONGEST_TIME = 40  # characters


class Sought(Struct, frozen=True, kw_only=True):
    """What was asked for; what is left empty filters nothing."""

    tenant: str
    shared: bool
    action: str
    user: str
    type: str
    about: str
    since: datetime | None
    until: datetime | None
    archived: bool


async def _seeking(
    *,
    tenant: Annotated[str, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = "",
    shared: bool = False,
    action: Annotated[str, Query(max_length=LONGEST_PATTERN, pattern=PRINTABLE)] = "",
    user: Annotated[str, Query(max_length=500, pattern=PRINTABLE)] = "",
    type: Annotated[str, Query(max_length=100, pattern=PRINTABLE)] = "",  # noqa: A002 - what a query calls it
    about: Annotated[str, Query(max_length=500, pattern=PRINTABLE)] = "",
    since: Annotated[str, Query(max_length=LONGEST_TIME)] = "",
    until: Annotated[str, Query(max_length=LONGEST_TIME)] = "",
    archived: bool = False,
) -> Sought:
    """`action`: one, or all that begin so, such as integration.*; `since` and `until`: days or moments, ISO 8601."""
    return Sought(
        tenant=tenant.strip(),
        shared=shared,
        action=action.strip(),
        user=user.strip(),
        type=type.strip(),
        about=about.strip(),
        since=_moment(since),
        until=_moment(until),
        archived=archived,
    )


Seeking = Annotated[Sought, Depends(_seeking)]


async def find_records(
    caller: Caller, ours: Service, app: App[Any], sought: Sought, *, limit: int, before: str
) -> Page:
    """A page of what the caller may see. Raises Forbidden, ConfigError, ArchiveError."""
    which = Filter(
        chains=_chains(caller, sought),
        action=checked_scope("", sought.action).action if sought.action else None,
        user_id=sought.user or None,
        resource_type=sought.type or None,
        resource_id=sought.about or None,
        since=sought.since,
        until=sought.until,
    )
    storage = open_storage(app.settings) if sought.archived else None
    return await Search(ours.database, storage).page(which, limit=limit, before=before, archived=sought.archived)


def storage_of(app: App[Any]) -> Storage:
    """Where its archives are. Raises ConfigError: nowhere."""
    storage = open_storage(app.settings)
    if storage is None:
        raise ConfigError("nothing is archived here: the operator has to set audit_archive.")
    return storage


def chain_shown(chain: str) -> str | None:
    """The tenant of a chain; None: it concerns no single one."""
    return chain or None


def _chains(caller: Caller, sought: Sought) -> Collection[str] | None:
    if not sought.shared:
        return visible_tenants(caller, sought.tenant or None)
    if caller.role is Role.TENANT:
        raise Forbidden("what concerns no single tenant is not for tenants: ask the operator.")
    return [SHARED]


def _moment(written: str) -> datetime | None:
    if not written.strip():
        return None
    try:
        read = datetime.fromisoformat(written.strip())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(f"{written!r:.60} is no time: give a day such as 2026-01-31, or 2026-01-31T10:00.") from None
