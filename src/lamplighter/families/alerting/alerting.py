"""One look after the other: see, find what is bad, write down what became of it, send what is to be told.

alerting = Alerting(app, tokens)
async with app, alerting.running(): ...
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from lamplighter.app import App
from lamplighter.core.errors import StoreError
from lamplighter.families.alerting.board import Board, RecordBoard
from lamplighter.families.alerting.course import Alert, Move
from lamplighter.families.alerting.emergency import Emergency
from lamplighter.families.alerting.look import Looker
from lamplighter.families.alerting.post import Post
from lamplighter.families.alerting.rules import rules_in_force, runbook_of
from lamplighter.families.alerting.silence import Silence, is_silenced
from lamplighter.families.alerting.table_board import TableBoard
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.notices.senders import open_senders

PATIENCE = timedelta(seconds=30)  # a board that answers later than that does not answer

_log = logging.getLogger("lamplighter.alerts")


class Shown(NamedTuple):
    """What people see: each alert with whether it is silenced, and the silences."""

    alerts: Sequence[tuple[Alert, bool]]
    silences: Sequence[Silence]

    def live(self) -> list[tuple[Alert, bool]]:
        """Those that are pending or fire, what fires and is critical first."""
        found = [one for one in self.alerts if one[0].is_live]
        return sorted(found, key=lambda one: (one[0].state != "firing", one[0].severity != "critical", one[0].since))

    def over(self) -> list[tuple[Alert, bool]]:
        """Those that were resolved lately, the last first."""
        found = [one for one in self.alerts if not one[0].is_live]
        return sorted(found, key=lambda one: one[0].seen_at, reverse=True)


class Alerting:
    """What an app is alerted of. With its token family it has a board in the tables, and messages; without, records.

    Raises ConfigError if the rules cannot be read.
    """

    def __init__(self, app: App[Any], tokens: TokenFamily | None = None) -> None:
        self.rules = rules_in_force(app.settings)
        self._app = app
        self._tokens = tokens
        self._calm = app.settings.alerts_every  # well for one whole interval, and it is resolved
        self._looker = Looker(app, tokens)
        self._post: Post | None = None
        self._emergency: Emergency | None = None
        self._running = 0
        app.keep_part(self)

    @property
    def board(self) -> Board:
        """Where alerts are kept; to be used while the app is open."""
        if self._tokens is not None:
            return TableBoard(self._tokens.service.database, clock=self._app.clock)
        return RecordBoard(self._app.store, clock=self._app.clock)

    @property
    def is_running(self) -> bool:
        """Whether this process looks."""
        return self._running > 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for as long as the block lasts; once, however many such blocks there are."""
        self._running += 1
        try:
            if self._running > 1:
                yield
                return
            async with self._posting():
                task = asyncio.create_task(self._look_on(), name="lamplighter-alerts")
                try:
                    yield
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
        finally:
            self._running -= 1

    async def evaluate(self) -> list[Move]:
        """One look, and all that follows from it; returns what changed."""
        seen = await self._looker.look(self.rules)
        found = {rule.name: rule.bad(seen) for rule in self.rules if rule.enabled}
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                changed = await self.board.advance(self.rules, found, calm=self._calm, now=seen.now)
                if self._emergency is not None:
                    await self._emergency.within_reach(self._calm, seen.now)
        except (StoreError, TimeoutError) as error:
            reason = str(error) or "no answer in time."
            _log.warning("Alerts cannot be kept for now: %s", reason)
            if self._emergency is not None:
                await self._emergency.out_of_reach(self.rules, reason, seen.now)
            return []
        for move in changed:
            _tell_the_log(move)
        if self._post is not None:
            await self._post.deliver()
        return changed

    async def shown(self) -> Shown:
        """What people see. Raises StoreError."""
        alerts, silences = await asyncio.gather(self.board.alerts(), self.board.silences())
        now = self._app.clock()
        return Shown([(one, is_silenced(one, silences, now)) for one in alerts], silences)

    async def firing(self) -> Mapping[tuple[str, str], int]:
        """How many fire, by rule and severity; of each rule that is on, also if none does."""
        counts: Counter[tuple[str, str]] = Counter({(one.name, one.severity): 0 for one in self.rules if one.enabled})
        counts.update((one.rule, one.severity) for one in await self.board.alerts() if one.state == "firing")
        return counts

    def runbook(self, rule: str) -> str:
        """Where to read what to do about a rule."""
        return runbook_of(rule, self._app.settings)

    @asynccontextmanager
    async def _posting(self) -> AsyncIterator[None]:
        if self._tokens is None:
            yield
            return
        app, service = self._app, self._tokens.service
        async with open_senders(app.settings, app.clock) as senders:
            self._post = Post(
                service.database, service.vault, senders, runbook=self.runbook, clock=app.clock, meter=app.meter
            )
            self._emergency = Emergency(self._post, runbook=self.runbook)
            try:
                yield
            finally:
                self._post = self._emergency = None

    async def _look_on(self) -> None:
        while True:
            try:
                await self.evaluate()
            except StoreError as error:
                _log.debug("Messages about alerts wait: %s", error)
            except Exception:  # noqa: BLE001 - whoever looks has to go on looking
                _log.exception("Looking for what to alert of failed: it is tried again.")
            await asyncio.sleep(self._app.settings.alerts_every.total_seconds())


def _tell_the_log(move: Move) -> None:
    before, after, _ = move
    was = None if before is None else before.state
    if after is not None and after.state == "firing" and was != "firing":
        _log.warning("Alert %s of %s fires: %s", after.rule, after.subject, after.says)
    elif after is not None and after.state == "resolved" and was == "firing":
        _log.warning("Alert %s of %s is resolved.", after.rule, after.subject)
