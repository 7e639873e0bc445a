"""The health family: every integration is checked at moments of its own, and what no longer works is refreshed at once.

A sweep looks for those whose moment has come and makes a job of each, so it costs what is due, not what there is. A
token that is found not to work is refreshed under the one key of all refreshes, before all others; if that is refused
the integration is revoked, as on every other path.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lamplighter.app import App
from lamplighter.core.model import Priority
from lamplighter.core.retry import exponential
from lamplighter.core.verdict import Cancel, Snooze
from lamplighter.engine.context import Ctx
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.refreshing.outcome import Gone, NotNow

QUEUE = "health"
SWEEP_EVERY = timedelta(seconds=15)


class HealthFamily:
    """The family's jobs on one app, beside its token family."""

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        self.check = app.job(
            "health.check",
            queue=QUEUE,
            unique="health.check:{integration_id}",
            retry=exponential(first=5, factor=2, cap=600, attempts=3),
            timeout=60,
            keep_done=timedelta(hours=1),
        )(self._check)
        self.sweep = app.job("health.sweep", queue=QUEUE, unique=True, keep_done=timedelta(hours=1))(self._sweep)
        app.every(SWEEP_EVERY, self.sweep.draft(), name="health.sweep", misfire="skip")

    async def _sweep(self, ctx: Ctx[Any]) -> int:
        """Have those checked whose moment has come; returns how many."""
        healths, found = self._tokens.service.healths, 0
        while due := await healths.due():
            drafts = [self.check.draft(one.integration_id) for one in due if one.is_checkable]
            await self._app.enqueue(drafts)  # first: what is moved and not enqueued would be left out
            await healths.moved(due)
            found += len(drafts)
            ctx.progress(found, note="to be checked")
        return found

    async def _check(self, ctx: Ctx[Any], integration_id: str) -> str:  # noqa: ARG002 - a job's first parameter
        """Check one integration, write down what was found, and refresh it if its token does not work."""
        try:
            return await check_now(self._tokens, integration_id)
        except NotNow as error:
            raise Snooze(error.retry_in, str(error)) from error
        except Gone as error:
            raise Cancel(str(error)) from error


async def check_now(tokens: TokenFamily, integration_id: str) -> str:
    """Check one integration, write down what was found, and have it refreshed at once if its token does not work.

    Returns its health; raises what the checker raises.
    """
    checked = await tokens.service.checker.check(integration_id)
    await tokens.service.healths.note(integration_id, checked.seen)
    if checked.rejected is not None:  # in place of the refresh that is planned for later
        refresh = tokens.refresh.using(priority=Priority.HIGH, when_held="replace")
        await refresh.enqueue(integration_id, rejected=checked.rejected)
    return str(checked.seen.health)
