"""The app whose jobs the benches of reads look at; each process that has a part in one makes it anew."""

from __future__ import annotations

from typing import TypeAlias

from fastapi import Request

from lamplighter import App, Ctx
from lamplighter.app.job import AsyncJob
from lamplighter.core.config import Settings
from lamplighter.web import Caller, Role

Work: TypeAlias = AsyncJob[None, [int], None]


def filled_app(store: str) -> tuple[App[None], Work]:
    """It, and its job. Retention is as long as the bench may take, or the fill would be forgotten."""
    app = App(settings=Settings(store=store, keep_done_count=10_000_000, keep_failed_count=10_000_000))

    @app.job()
    async def work(ctx: Ctx[None], number: int) -> None: ...

    return app, work


async def viewer(_request: Request) -> Caller:
    """Everybody may look."""
    return Caller(user_id="bench", role=Role.VIEWER)
