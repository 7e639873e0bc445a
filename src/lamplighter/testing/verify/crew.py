"""The processes of a run: started, replaced, signalled by their own id, and gone when the run is over."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import msgspec

from lamplighter.testing.verify.orders import Orders, Role

READY = 60.0  # seconds that a process may take to begin, on a busy machine whose store is down
ENDING = 20.0  # seconds for a worker to hand back what it has


class Member:
    """One process. It ends by itself only when its work is done."""

    def __init__(self, orders: Orders, process: asyncio.subprocess.Process) -> None:
        self.orders = orders
        self.name = orders.name
        self.role: Role = orders.role
        self.is_killed = False
        self.is_stopped = False
        self.is_dismissed = False
        self._process = process

    @classmethod
    async def start(cls, orders: Orders) -> Self:
        """A new process that has read its orders."""
        with open(orders.path / f"{orders.name}.log", "ab") as log:  # noqa: ASYNC230 - nothing waits for that
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"lamplighter.testing.verify.{orders.role}"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # or Ctrl-C would reach it before we can end it in good order
            )
        member = cls(orders, process)
        member._write(msgspec.json.encode(orders) + b"\n")
        return member

    @property
    def is_busy(self) -> bool:
        """Whether it is not to be picked: it stands still, or goes by another clock than the others."""
        return self.is_stopped or self.is_killed or self.orders.offset != 0

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def ready(self) -> None:
        """Wait until it works."""
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.stdout.readline(), READY)

    def tell(self, command: str) -> None:
        """A line on its stdin."""
        self._write(f"{command}\n".encode())

    def kill(self) -> None:
        """End it without warning."""
        self.is_killed = True
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Make it stand still."""
        self.is_stopped = True
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.is_stopped = False
        self._signal(signal.SIGCONT)

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def end(self) -> None:
        """In good order if it can; killed if it does not."""
        self.go_on()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), ENDING)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        if self.code is None and not self._process.stdin.is_closing():
            self._process.stdin.write(data)


class Crew:
    """All processes of a run. What is killed is replaced at once, as a supervisor would."""

    def __init__(self, orders: Callable[[Role, str, int], Orders], dice: random.Random) -> None:
        self.members: list[Member] = []
        self.ended_alone: list[str] = []
        self._orders = orders
        self._dice = dice
        self._started = 0
        self._watching: set[asyncio.Task[None]] = set()
        self._closing = False
        self._changed = asyncio.Event()

    async def start(self, role: Role, share: int = 0, *, offset: float = 0.0) -> Member:
        """One more process."""
        self._started += 1
        orders = self._orders(role, f"{role[0]}{self._started}", share)
        return await self._start(msgspec.structs.replace(orders, offset=offset))

    async def _start(self, orders: Orders) -> Member:
        member = await Member.start(orders)
        self.members.append(member)
        watching = asyncio.create_task(self._watch(member))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return member

    def of(self, role: Role) -> list[Member]:
        """Those that run and are not stopped."""
        return [one for one in self.members if one.role == role and one.code is None and not one.is_busy]

    def pick(self, role: Role) -> Member | None:
        """One of them, by chance."""
        found = self.of(role)
        return self._dice.choice(found) if found else None

    async def _watch(self, member: Member) -> None:
        """Replace it when it has ended, unless its work is done."""
        await member.ended()
        self.members.remove(member)
        self._changed.set()
        if self._closing or member.is_dismissed or (member.role == "enqueuer" and member.code == 0):
            return
        if not member.is_killed:
            self.ended_alone.append(f"{member.name} ended by itself with {member.code}: {_last_words(member)}")
            await asyncio.sleep(1)  # or one that cannot start would be started without end
        if not self._closing:
            await self.start(member.role, member.orders.share)

    async def dismiss(self, member: Member) -> None:
        """End one in good order; nobody takes its place."""
        member.is_dismissed = True
        await member.end()

    async def enqueued(self) -> None:
        """Wait until every task is added."""
        while any(one.role == "enqueuer" for one in self.members):
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End them all: workers hand back what they have."""
        self._closing = True
        await asyncio.gather(*(member.end() for member in self.members))
        while self._watching:
            await asyncio.wait(self._watching)


@asynccontextmanager
async def crew(orders: Callable[[Role, str, int], Orders], dice: random.Random) -> AsyncIterator[Crew]:
    """Processes that are gone when the block ends."""
    made = Crew(orders, dice)
    try:
        yield made
    finally:
        await made.close()


def _last_words(member: Member) -> str:
    lines = (Path(member.orders.folder) / f"{member.name}.log").read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
