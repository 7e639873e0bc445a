"""A database is looked at, and kept well: `python keep_databases_well.py`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.families.tokens import TokenFamily
from lamplighter.families.upkeep import UpkeepFamily


async def main() -> None:
    """Tell what would be done, then have it done now."""
    with tempfile.TemporaryDirectory() as home:
        app = App(
            settings=Settings(
                store=f"sqlite:///{home}/jobs.db",
                upkeep_window="02:00-05:00",  # when it is done by itself
                upkeep_tz="Europe/Berlin",
                backup_folder=Path(home, "backups"),
                queues=("upkeep",),
            )
        )
        family = UpkeepFamily(app, TokenFamily(app))

        @app.job()
        async def greet(_ctx: Ctx[None], name: str) -> str:
            return f"Good evening, {name}"

        async with app, app.worker():
            await app.enqueue(greet.draft(f"guest {n}") for n in range(19))
            report = await family.upkeep.report()
            for one in report.due:
                print(f"{one.task} of {one.subject}: {one.says}")
            handle = await family.ask(by="ada", tasks=["check", "backup"])
            counts = await handle.result(timeout=45)
            [backup] = await family.upkeep.ledger.page(task="backup")
            print(backup.says)
            print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))


if __name__ == "__main__":
    asyncio.run(main())
