"""The upkeep family: once an hour, what is older than the settings say is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lamplighter.app import App
from lamplighter.core.model import Priority
from lamplighter.engine.context import Ctx
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.retention import forget

QUEUE = "upkeep"
EVERY = timedelta(hours=1)


class UpkeepFamily:
    """The family's jobs on one app, beside its token family."""

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        self.forget = app.job("upkeep.forget", queue=QUEUE, priority=Priority.LOW, unique=True)(self._forget)
        app.every(EVERY, self.forget.draft(), name="upkeep.forget", misfire="skip")

    async def _forget(self, _ctx: Ctx[Any]) -> dict[str, int]:
        """Forget what is old; returns how many rows of what."""
        forgotten = await forget(self._tokens.service.database, self._app.settings, self._app.clock())
        return forgotten._asdict()
