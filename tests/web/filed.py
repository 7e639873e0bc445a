"""Files as a worker would have indexed them, put into the tables at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Connection, Integer, insert, update

from lamplighter.core.clock import to_us, utcnow
from lamplighter.families.files.file import Status
from lamplighter.families.files.file_source import FileSource, NewSource
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.indexing import Said, add_words
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.file_tables import file_sources, file_texts, files
from lamplighter.integrations.tenants import Tenant

PASSWORD = "correct horse battery staple"


class Filed(NamedTuple):
    """A file, and what it says."""

    path: str
    text: str = ""
    status: Status = "processed"
    mime_type: str = "text/plain"
    reason: str | None = None
    title: str | None = None


async def add_source(service: Service, tenant: str, name: str = "Papers") -> FileSource:
    """A WebDAV share of that tenant."""
    await service.tenants.add([Tenant(id=tenant, name=tenant, owner_id="auth|1")])
    new = NewSource(
        tenant_id=tenant,
        kind="webdav",
        name=name,
        place="https://dav.example.com/papers/",
        credentials={"user": "ada", "password": PASSWORD},
    )
    return await FileSources(service.database, service.vault).add(new)


async def fill(service: Service, source: FileSource, filed: Sequence[Filed], **more: Any) -> list[int]:
    """The ids of these files, which are in that source from now on. `more`: of the source's row."""
    return await service.database.write(lambda connection: _fill(connection, source, filed, more))


def _fill(connection: Connection, source: FileSource, filed: Sequence[Filed], more: dict[str, Any]) -> list[int]:
    blank = {one.name: _blank(one.type) for one in files.columns if not one.nullable and not one.primary_key}
    ids = []
    for one in filed:
        name = one.path.rpartition("/")[2]
        row = blank | {
            "tenant_id": source.tenant_id,
            "source_id": source.id,
            "remote_id": one.path,
            "name": name,
            "path": one.path,
            "mime_type": one.mime_type,
            "size": len(one.text),
            "modified_at": to_us(utcnow()),
            "status": one.status,
            "reason": one.reason,
            "title": one.title,
        }
        [id_] = connection.execute(insert(files).returning(files.c.id), row).scalars()
        connection.execute(insert(file_texts), {"file_id": id_, "text": one.text})
        add_words(connection, [Said(id_, source.tenant_id, name, one.title, one.text)])
        ids.append(id_)
    counted = {
        "files": len(filed),
        "pending": sum(one.status == "pending" for one in filed),
        "failed": sum(one.status == "error" for one in filed),
    }
    connection.execute(update(file_sources).where(file_sources.c.id == source.id).values(counted | more))
    return ids


def _blank(type_: Any) -> object:
    """What a column holds whose value makes no difference here."""
    return False if isinstance(type_, Boolean) else 0 if isinstance(type_, Integer) else ""
