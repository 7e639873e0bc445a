"""Doing something to many jobs in the background: begun, looked at and stopped from any process.

An action goes through what matches, a batch at a time, in the process that was asked for it. How far it is lies in the
store, as a record that is written after each batch, and so does the wish to stop it. One whose process died stays as it
was, and shows as interrupted.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from lamplighter.app import App
from lamplighter.app.bulk import AT_ONCE, batches
from lamplighter.core.errors import LamplighterError
from lamplighter.core.model import Record
from lamplighter.web.action import AGAIN, HOW, Action
from lamplighter.web.refusals import ActionOver, NoSuchAction, TooManyActions

KIND, STOP_KIND = "action", "action_stop"  # of records
KEPT = timedelta(days=1)  # how long one can still be seen
MOST = 1_000_000  # jobs that one does anything to
COUNTED = 10_000  # of those that match a preview: beyond that it says that there are at least so many
FASTEST = 10_000  # jobs a second, where one is told how many
MOST_AT_A_TIME = 5  # in one process: each of them pages through the store

_log = logging.getLogger("lamplighter.web")


class Actions:
    """The actions in the store of an app."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._running = 0

    async def start(self, action: Action) -> None:
        """Begin; it goes on until it is done or stopped, or the app closes.

        Raises:
            TooManyActions: others have to come to their end first.
        """
        if self._running >= MOST_AT_A_TIME:
            raise TooManyActions(f"{MOST_AT_A_TIME} actions run in this process already: wait for one, or stop it.")
        self._running += 1
        try:
            await _put(self._app, action)
            task = self._app.beside(_Run(self._app, action).whole, name=f"lamplighter-action-{action.id}")
        except BaseException:
            self._running -= 1
            raise
        task.add_done_callback(self._ended)

    async def all(self) -> list[Action]:
        """Those of the last day, the newest first."""
        now = self._app.clock()
        records = await self._app.store.records(KIND, now=now)
        return [msgspec.json.decode(record.value, type=Action).seen_at(now) for record in reversed(records)]

    async def get(self, id_: str) -> Action:
        """One of them.

        Raises:
            NoSuchAction: it is not there (any more).
        """
        for action in await self.all():
            if action.id == id_:
                return action
        raise NoSuchAction("there is no such action (any more): list actions to find their ids.")

    async def stop(self, id_: str) -> Action:
        """Have it end after the batch that it is at, in whatever process.

        Raises:
            NoSuchAction: it is not there (any more).
            ActionOver: there is nothing to stop.
        """
        action = await self.get(id_)
        if action.state != "running":
            raise ActionOver(f"the action is {action.state}: there is nothing to stop.")
        wish = Record(kind=STOP_KIND, name=id_, value="{}", expires_at=self._app.clock() + KEPT)
        await self._app.store.put(wish)
        return action

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._running -= 1


class _Run:
    """One action on its way, in this process."""

    def __init__(self, app: App[Any], action: Action) -> None:
        self._app = app
        self._action = action

    async def whole(self) -> None:
        """All of it; how it ended is written down in any case."""
        try:
            await self._end(None if await self._go_through() else f"it was stopped: {AGAIN}")
        except asyncio.CancelledError:
            await self._end(f"the process that did it was stopped: {AGAIN}")
            raise
        except LamplighterError as error:  # the store, most likely: then the last batch is what is known of it
            _log.warning("An action on many jobs was interrupted: %s", error)
            await self._end(f"{error} After that, {AGAIN}")

    async def _go_through(self) -> bool:
        """Whether it came to the end of what matches, and was not stopped before."""
        began, per_second = asyncio.get_running_loop().time(), self._action.per_second
        how, size = HOW[self._action.deed], min(AT_ONCE, per_second or AT_ONCE)
        async for some in batches(self._app.store, self._action.where, how.among, self._action.limit, size=size):
            await self._note(len(some.ids), await how.do(self._app, some))
            if await self._is_to_stop():
                return False
            if per_second is not None:
                due = began + self._action.matched / per_second
                await asyncio.sleep(due - asyncio.get_running_loop().time())
        return True

    async def _note(self, matched: int, done: int) -> None:
        known = self._action
        self._action = replace(
            known, matched=known.matched + matched, done=known.done + done, beat_at=self._app.clock()
        )
        await _put(self._app, self._action)

    async def _is_to_stop(self) -> bool:
        wishes = await self._app.store.records(STOP_KIND, now=self._app.clock())
        return any(wish.name == self._action.id for wish in wishes)

    async def _end(self, reason: str | None) -> None:
        try:
            await _put(self._app, replace(self._action, ended_at=self._app.clock(), reason=reason))
            await self._app.store.drop(STOP_KIND, self._action.id)
        except LamplighterError as error:
            _log.warning("It cannot be written down how an action on many jobs ended: %s", error)


async def _put(app: App[Any], action: Action) -> None:
    value = msgspec.json.encode(action).decode()
    await app.store.put(Record(kind=KIND, name=action.id, value=value, expires_at=app.clock() + KEPT))
