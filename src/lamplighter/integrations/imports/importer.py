"""Brings records in, batch by batch: the one place of an import that writes.

Whatever is there stays as it is, so an import that was interrupted is simply run again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, or_, select

from lamplighter.core.errors import ConfigError
from lamplighter.integrations.imports.fault import BadRecord
from lamplighter.integrations.imports.report import Refusal, Report
from lamplighter.integrations.imports.seen import Seen
from lamplighter.integrations.imports.source import Piece, pieces
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.integrations import Due
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.tables import integrations, providers, tenants
from lamplighter.integrations.tenants import Tenant

T = TypeVar("T")
_Reading = tuple[str, T | BadRecord]
Plan = Callable[[Sequence[Due]], Awaitable[object]]
Told = Callable[[int], object]  # how many bytes more have been read

BATCH = 500  # records in memory, and in one transaction
MOST_PROVIDERS = 1000
MOST_NAMED = 10

_row = integrations.c


class Importer:
    """One run over one service. `plan` gets what is to be refreshed; a dry run looks, and writes nothing."""

    def __init__(self, service: Service, seen: Seen, plan: Plan, *, dry_run: bool, told: Told) -> None:
        self.report = Report(dry_run=dry_run)
        self._service = service
        self._seen = seen
        self._plan = plan
        self._told = told
        self._slugs = frozenset[str]()

    async def providers(self, file: Path, read: Callable[[Piece], tuple[str, Provider]]) -> dict[str, str]:
        """Register those that are not; returns the slug of each by the id it has in the file."""
        slugs: dict[str, str] = {}
        registered = await self._registered()
        for _, (known_as, provider) in self._good(file, self._read(pieces(file), read)):
            if len(slugs) == MOST_PROVIDERS:
                raise ConfigError(f"{file} has more than {MOST_PROVIDERS:,} providers: export the right collection.")
            slugs[known_as] = provider.slug
            if provider.slug in registered:
                continue
            registered.add(provider.slug)
            self.report.providers.append(provider.slug)
            if not self.report.dry_run:
                await self._service.registrations.register(provider)
        return slugs

    async def tenants(self, file: Path, records: Iterable[Piece], read: Callable[[Piece], Tenant | None]) -> None:
        """Add those that are not known."""
        for batch in _batches(self._read(records, read)):
            found = [(where, tenant) for where, tenant in self._good(file, batch) if tenant is not None]
            known = await self._known_tenants({tenant.id for _, tenant in found})
            new = [tenant for where, tenant in found if tenant.id not in known and self._is_first(where, tenant.id)]
            self.report.tenants += len(new)
            if not self.report.dry_run:
                await self._service.tenants.add(new)

    async def integrations(self, file: Path, records: Iterable[Piece], read: Callable[[Piece], NewIntegration]) -> None:
        """Add those that are not there, and plan their refreshes."""
        self._slugs = frozenset(await self._registered()) | frozenset(self.report.providers)
        for batch in _batches(self._read(records, read)):
            there = await self._there([new for _, new in batch if not isinstance(new, BadRecord)])
            accepted = [new for where, new in self._good(file, batch) if self._accepts(file, where, new, there)]
            if self.report.dry_run:
                self.report.added += len(accepted)
            else:
                await self._add(accepted)

    async def _add(self, new: Sequence[NewIntegration]) -> None:
        came = await self._service.integrations.add(new)
        await self._plan([due for due in came if due.refresh_at is not None])
        self.report.added += len(came)
        self.report.known += len(new) - len(came)  # others were quicker

    def _read(self, records: Iterable[Piece], read: Callable[[Piece], T]) -> Iterator[_Reading[T]]:
        """Each record, or why it cannot be read; and where it is."""
        for piece in records:
            try:
                yield piece.where, read(piece)
            except BadRecord as error:
                yield piece.where, error
            self._told(piece.size)

    def _good(self, file: Path, readings: Iterable[_Reading[T]]) -> Iterator[tuple[str, T]]:
        """Those that could be read; the report names the others."""
        for where, found in readings:
            if isinstance(found, BadRecord):
                self.report.refuse(Refusal(file.name, where, str(found)))
            else:
                yield where, found

    def _accepts(self, file: Path, where: str, new: NewIntegration, there: _There) -> bool:
        """Whether to add it; if not, the report says what became of it."""
        try:
            is_there = self._check(where, new, there)
        except BadRecord as error:
            self.report.refuse(Refusal(file.name, where, str(error)))
            return False
        self.report.known += is_there
        return not is_there

    def _check(self, where: str, new: NewIntegration, there: _There) -> bool:
        """Whether it is there already. Raises BadRecord if it cannot be."""
        pair = (new.tenant_id, new.provider_slug)
        if new.provider_slug not in self._slugs:
            names = ", ".join(sorted(self._slugs)[:MOST_NAMED]) or "none yet"
            raise BadRecord(f"its provider is not registered ({names}): register it first, or name it as it is there.")
        if new.tenant_id not in there.tenants and self._seen.first("tenant", new.tenant_id) is None:
            raise BadRecord("its tenant is not known: bring it along, by tenant_name and tenant_owner or by --tenants.")
        if before := self._seen.first("pair", *pair):
            raise BadRecord(f"it has the tenant and the provider of {before}: a tenant connects to a provider once.")
        if new.id and (before := self._seen.first("id", new.id)):
            raise BadRecord(f"it has the id of {before}: give it one of its own, or none.")
        if new.id and there.ids.get(new.id, pair) != pair:
            raise BadRecord("its id belongs to another integration here: give it one of its own, or none.")
        self._seen.note(where, "pair", *pair)
        if new.id:
            self._seen.note(where, "id", new.id)
        return pair in there.pairs

    def _is_first(self, where: str, tenant_id: str) -> bool:
        is_first = self._seen.first("tenant", tenant_id) is None
        self._seen.note(where, "tenant", tenant_id)
        return is_first

    async def _registered(self) -> set[str]:
        return set(await self._service.database.read(lambda c: c.execute(select(providers.c.slug)).scalars().all()))

    async def _known_tenants(self, ids: set[str]) -> set[str]:
        return await self._service.database.read(lambda connection: _known_tenants(connection, ids))

    async def _there(self, new: Sequence[NewIntegration]) -> _There:
        return await self._service.database.read(lambda connection: _look(connection, new))


class _There(NamedTuple):
    """What the database has of a batch: tenants, and integrations as pairs of tenant and provider, by id too."""

    tenants: set[str]
    pairs: set[tuple[str, str]]
    ids: dict[str, tuple[str, str]]


def _look(connection: Connection, new: Sequence[NewIntegration]) -> _There:
    tenant_ids = {one.tenant_id for one in new}
    ids = {one.id for one in new if one.id}
    statement = select(_row.id, _row.tenant_id, _row.provider_slug).where(
        or_(_row.tenant_id.in_(tenant_ids), _row.id.in_(ids))
    )
    found = {row.id: (row.tenant_id, row.provider_slug) for row in connection.execute(statement)}
    return _There(_known_tenants(connection, tenant_ids), set(found.values()), found)


def _known_tenants(connection: Connection, ids: set[str]) -> set[str]:
    return set(connection.execute(select(tenants.c.id).where(tenants.c.id.in_(ids))).scalars())


def _batches(records: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(records, BATCH)):
        yield batch
