"""How long pages about files, and searches in them, take with very many files of one tenant.

.venv/bin/python -m bench.file_pages --files 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from functools import partial
from typing import Any

from bench.pages import time_of
from bench.store import HELP, store_of
from fastapi import Request
from sqlalchemy import Connection, insert, select, update

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.families.files.file_source import FileSource, NewSource
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.indexing import Said, add_words
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.file_tables import file_sources, file_texts, files
from lamplighter.integrations.tenants import Tenant
from lamplighter.web import Caller, Role, dashboard, http_api

TENANT = "copper-bakery"
FOLDER = 1000  # files in one
TOGETHER = 10_000
WORDS = 20  # of a text: word1 is in a fifth of them, word9000 in one of 1,400
FAILS = 1000  # one file in so many cannot be read
PAGES = (
    "/files",
    "/tenants/{tenant}/files",
    "/tenants/{tenant}/files?folder=folder-500",
    "/tenants/{tenant}/files?source={source}",
    "/tenants/{tenant}/files?status=error",
    "/tenants/{tenant}/files?status=pending",
    "/tenants/{tenant}/files?type=text/",
    "/tenants/{tenant}/files?type=image/",
    "/tenants/{tenant}/files?language=de",
    "/tenants/{tenant}/files?after={deep}",
    "/tenants/{tenant}/files/{middle}",
)
SEARCHES = (
    "q=word9000",
    "q=word9000+word1",
    "q=word100",
    "q=word1",
    'q="word1+word2"',
    "q=file*",
    "q=word1&folder=folder-500",
    "q=word1&language=de",
    "q=nowhere",
)


async def operator(_request: Request) -> Caller:
    """Everybody may read."""
    return Caller(user_id="bench", role=Role.OPERATOR)


async def _measure(store: str, many: int) -> None:
    app = App(settings=Settings(store=store))
    tokens = TokenFamily(app)
    pages = dashboard(app, identify=operator, tokens=tokens)
    api = http_api(app, identify=operator, tokens=tokens, public_url="http://127.0.0.1")
    async with app:
        began = time.perf_counter()
        source = await _fill(tokens.service, many)
        print(f"filled with {many:,} files in {time.perf_counter() - began:.0f} s")
        middle = many // 2
        deep = f"{middle + 1}:{_path(middle)}"
        for path in PAGES:
            asked = path.format(tenant=TENANT, source=source.id, deep=deep, middle=middle)
            print(f"{path:<45} {await time_of(pages, asked)}", flush=True)
        for query in SEARCHES:
            asked = f"/api/v1/tenants/{TENANT}/files/search?{query}"
            print(f"search {query:<38} {await time_of(api, asked)}", flush=True)


async def _fill(service: Service, many: int) -> FileSource:
    await service.tenants.add([Tenant(id=TENANT, name=TENANT, owner_id="auth|1")])
    sources = FileSources(service.database, service.vault)
    source = await sources.add(NewSource(tenant_id=TENANT, kind="folder", name="Attic", place="/srv/attic"))
    blank = {one.name: 0 for one in files.columns if not one.nullable and not one.primary_key}
    dice = random.Random(1)
    for first in range(0, many, TOGETHER):
        rows = [blank | _row(source, number) for number in range(first, min(first + TOGETHER, many))]
        await service.database.write(partial(_write, rows=rows, dice=dice))
    counted = update(file_sources).values(files=many, failed=many // FAILS, phase="delta")
    await service.database.write(lambda connection: connection.execute(counted))
    return source


def _write(connection: Connection, rows: list[dict[str, Any]], dice: random.Random) -> None:
    last = connection.execute(select(files.c.id).order_by(files.c.id.desc()).limit(1)).scalar() or 0
    ids = range(last + 1, last + 1 + len(rows))
    connection.execute(insert(files), [row | {"id": id_} for id_, row in zip(ids, rows, strict=True)])
    texts = [" ".join(f"word{int(10_000 * dice.random() ** 3)}" for _ in range(WORDS)) for _ in rows]
    connection.execute(insert(file_texts), [{"file_id": id_, "text": one} for id_, one in zip(ids, texts, strict=True)])
    said = zip(ids, rows, texts, strict=True)
    add_words(connection, [Said(id_, TENANT, row["name"], None, text) for id_, row, text in said])


def _row(source: FileSource, number: int) -> dict[str, Any]:
    path = _path(number)
    return {
        "tenant_id": TENANT,
        "source_id": source.id,
        "remote_id": path,
        "name": path.rpartition("/")[2],
        "path": path,
        "is_folder": False,
        "by_path": True,
        "mime_type": "text/plain",
        "size": number,
        "language": "en",
        "status": "processed" if number % FAILS else "error",
    }


def _path(number: int) -> str:
    return f"folder-{number // FOLDER}/file-{number}.txt"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--store", help=HELP)
    given = parser.parse_args()
    with store_of(given.store) as url:
        asyncio.run(_measure(url, given.files))
