"""The link of one event loop to the server: a connection that is made anew whenever it was lost."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import hiredis

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.redis.errors import Away, code_of, explain, show
from lamplighter.store.redis.listen import Listener
from lamplighter.store.redis.scripts import Script
from lamplighter.store.redis.seek import Seeker
from lamplighter.store.redis.url import Place
from lamplighter.store.redis.wire import Arg, Lost, Wire

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25  # seconds between tries, while the server is away


class Link:
    """Runs scripts on the server, wherever that is by now."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._tag = f"{{{place.prefix}}}"
        self._seeker = Seeker(place)
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None
        self.listener = Listener(place, f"{self._tag}:wake")

    async def run(self, script: Script, *args: Arg, again: bool = False) -> Any:
        """What a script returns.

        Args:
            script: see `scripts`.
            args: its ARGV.
            again: it may be run once more when its answer was lost, for the second time changes nothing.

        Raises:
            StoreUnavailable: the server was away until our patience was over, or refused; or the answer was lost.
            StoreDamaged: under our prefix is something else.
        """
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), FIRST_PAUSE
        while True:
            try:
                return await self._run(script, args)
            except Away:
                if loop.time() - began + pause > self._place.patience:
                    raise
            except Lost as error:
                if not again or loop.time() - began + pause > self._place.patience:
                    raise StoreUnavailable(
                        f"the connection to the Redis server at {show(self._seeker.at)} was lost ({error}) before "
                        "the answer came: look whether the change was made, or make it again."
                    ) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - or all clients come back in step
            pause = min(pause * 2, LONGEST_PAUSE)

    async def ask(self, *command: Arg) -> Any:
        """The answer to a command, which may be an error; for commands that only read.

        Raises:
            StoreUnavailable: the server is away, or the answer was lost.
        """
        wire = self._wire if self._wire is not None and self._wire.lost is None else await self._connect()
        try:
            return await wire.ask(*command)
        except Lost as error:
            raise StoreUnavailable(
                f"the connection to the Redis server at {show(self._seeker.at)} was lost ({error}): ask again."
            ) from error

    async def close(self) -> None:
        """Let go of the server."""
        await self.listener.close()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
            await wire.wait_closed()

    async def _run(self, script: Script, args: tuple[Arg, ...]) -> Any:
        wire = self._wire if self._wire is not None and self._wire.lost is None else await self._connect()
        reply = await wire.ask(b"EVALSHA", script.sha, 1, self._tag, *args)
        if isinstance(reply, hiredis.ReplyError) and code_of(reply) == "NOSCRIPT":
            wire.tell(b"SCRIPT", b"LOAD", script.source)  # in one packet with the next: nothing comes between
            reply = await wire.ask(b"EVALSHA", script.sha, 1, self._tag, *args)
        if isinstance(reply, hiredis.ReplyError):
            self._heed(wire, reply)
            raise explain(reply, self._seeker.at)
        return reply

    def _heed(self, wire: Wire, refusal: hiredis.ReplyError) -> None:
        """Look for another server where a refusal says that this is the wrong one."""
        code = code_of(refusal)
        if code == "MOVED":
            self._seeker.moved(refusal)
        elif code in {"READONLY", "MASTERDOWN"}:
            self._seeker.not_here()
        else:
            return
        if wire is self._wire:
            self._wire = None
        wire.retire()

    async def _connect(self) -> Wire:
        """The next connection. All who wait share one try: they would wait the longer, one after the other."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="lamplighter-connect")
            self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits
        return await asyncio.shield(self._opening)

    async def _open(self) -> Wire:
        self._wire = await self._seeker.connect()
        return self._wire
