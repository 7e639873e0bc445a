"""A worker of `bench.files`, which is killed now and then: `python -m bench.files_worker STORE FOLDER`."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from lamplighter.app import App
from lamplighter.cli.opened import run_async
from lamplighter.cli.work import on_signals
from lamplighter.core.config import Settings
from lamplighter.families.files.family import FileFamily
from lamplighter.families.tokens import TokenFamily

LEASE = timedelta(seconds=2)  # so that what a killed worker held is soon taken up again


def files_app(store: str, folder: Path) -> tuple[App[None], TokenFamily, FileFamily]:
    """The app of the bench."""
    app: App[None] = App(settings=Settings(store=store, folder=folder, lease=LEASE))
    tokens = TokenFamily(app)
    return app, tokens, FileFamily(app, tokens)


async def _work(store: str, folder: Path) -> None:
    app, *_ = files_app(store, folder)
    async with app, app.worker(concurrency=8) as worker:
        with on_signals(worker.stop):
            await worker.stopped()


if __name__ == "__main__":
    run_async(_work(sys.argv[1], Path(sys.argv[2])))
