"""The demo in one piece: a world, an app with the token family, a worker, and a watch over all integrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from datetime import timedelta
from pathlib import Path

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.demo.faults import Cue
from lamplighter.demo.settle import settle
from lamplighter.demo.watch import Change, Summary, Watch
from lamplighter.demo.world import running_world
from lamplighter.engine.worker import Worker
from lamplighter.families.tokens import TokenFamily

LOOK_EVERY = 0.5  # seconds
GRACE = timedelta(seconds=10)

Seen = Callable[[Watch, list[Change]], None]
Started = Callable[[Worker, str], object]
Beside = Callable[[App[None]], AbstractAsyncContextManager[object]]


class Show:
    """One run of the demo on the store of a URL; `running_world` says what `faults` and `token_lifetime` are.

    `database` and `folder` are the settings of these names: where the tables are, and the key and the journal. `beside`
    is open while the worker works, such as a server of the app.
    """

    def __init__(
        self,
        url: str,
        *,
        database: str | None = None,
        folder: Path | None = None,
        faults: bool | Sequence[Cue] = True,
        token_lifetime: int | None = None,
        beside: Beside = lambda _: nullcontext(),
    ) -> None:
        self._settings = Settings(store=url, database=database, folder=folder, grace=GRACE)
        self._faults = faults
        self._token_lifetime = token_lifetime
        self._beside = beside
        self.watch = Watch()

    async def run(self, seen: Seen, started: Started) -> Summary:
        """Run until the worker is stopped; `started` is given it and the world's URL, `seen` each look."""
        app = App(settings=self._settings)
        tokens = TokenFamily(app)
        app.listen(self.watch.hear)
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(running_world(self._faults, token_lifetime=self._token_lifetime))
            await stack.enter_async_context(app)
            await settle(tokens.service, world.url)
            await stack.enter_async_context(self._beside(app))
            worker = await stack.enter_async_context(app.worker())
            started(worker, world.url)
            while not worker.is_stopping:
                await self._look(tokens, seen)
                await worker.stopped(LOOK_EVERY)
            await self._look(tokens, seen)
        return self.watch.summary()

    async def _look(self, tokens: TokenFamily, seen: Seen) -> None:
        found = await tokens.service.integrations.page(limit=1000)
        seen(self.watch, self.watch.look(found))
