"""A folder is indexed, and searched by what its files say: `python index_files.py`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.families.files.family import FileFamily
from lamplighter.families.files.file_source import NewSource
from lamplighter.families.files.files import Hit
from lamplighter.families.files.marked import pieces
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.tenants import Tenant

PAPERS = {
    "recipes/buns.md": "# Buns\n\nCinnamon buns need patience, and a warm kitchen.",
    "recipes/bread.txt": "Bread needs flour, water, salt and time.",
    "ledger.html": "<!doctype html><title>May</title><p>Cinnamon: 12 crowns. Flour: 40 crowns.</p>",
}


async def main() -> None:
    """Index three papers, and look for a word."""
    with tempfile.TemporaryDirectory() as home:
        shelf = _filled(Path(home, "papers"))
        app = App(settings=Settings(store=f"sqlite:///{home}/jobs.db", file_roots=(str(shelf),)))
        tokens = TokenFamily(app)
        family = FileFamily(app, tokens)
        async with app, app.worker():
            await tokens.service.tenants.add([Tenant(id="acme", name="Acme", owner_id="ada")])
            papers = NewSource(tenant_id="acme", kind="folder", name="Papers", place=str(shelf))
            source = await family.add(papers)
            await family.sync_now(source.id)
            await _until_read(family, source.id)
            for hit in await family.files.search("acme", "cinnamon"):
                print(f"{hit.file.path} ({hit.file.mime_type}): {_marked(hit)}")


def _filled(shelf: Path) -> Path:
    for name, text in PAPERS.items():
        path = shelf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return shelf


async def _until_read(family: FileFamily, source_id: str) -> None:
    async with asyncio.timeout(45):
        while (source := await family.sources.get(source_id)) is not None:
            if source.is_listed and not source.pending:
                return
            await asyncio.sleep(0.1)


def _marked(hit: Hit) -> str:
    return "".join(f"[{one.text}]" if one.is_match else one.text for one in pieces(hit.snippet))


if __name__ == "__main__":
    asyncio.run(main())
