"""The pool's side of a process that reads files: starts it, asks it, never believes it, and kills it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process

import msgspec

from lamplighter.engine.process_group import kill_group, signal_that_ended
from lamplighter.families.files.extraction.extracted import ExtractionFailed, ExtractorDown
from lamplighter.families.files.extraction.finish import keeps_to
from lamplighter.families.files.extraction.limits import LONGEST_LINE, Limits
from lamplighter.families.files.extraction.wire import LENGTH, Answer, Request, framed

_CHILD = "lamplighter.families.files.extraction.child"
_START = 60  # seconds: mostly imports, on a machine that may be busy
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH")
_ANSWER = msgspec.msgpack.Decoder(Answer)


class ChildProcess:
    """One of them. Whoever stops waiting for its answer has to kill it."""

    def __init__(self, process: Process, ours: socket.socket, limits: Limits) -> None:
        self._process = process
        self._socket = ours
        self._limits = limits
        self._files = 0
        self._is_last = False

    @classmethod
    async def start(cls, limits: Limits, readers: str) -> ChildProcess:
        """One that is told to start. Raises ExtractorDown."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", _CHILD, str(theirs.fileno())),
                    *(msgspec.json.encode(limits).decode(), readers),
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    stderr=DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env=_environment(),
                )
        except OSError as error:
            ours.close()
            raise ExtractorDown(f"no process to read files in could start ({error.strerror}).") from error
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)  # noqa: FBT003 - as the loop needs it
        return cls(process, ours, limits)

    async def greet(self) -> None:
        """Wait until it is ready. Raises ExtractorDown."""
        try:
            async with asyncio.timeout(_START):
                await self._receive()
        except (TimeoutError, EOFError, OSError, ExtractionFailed):
            raise ExtractorDown(
                "no process to read files in could start: install lamplighter[files], or give files_memory_mb more."
            ) from None

    @property
    def is_usable(self) -> bool:
        """Whether it may read another file."""
        return not self._is_last and self._files < self._limits.files_per_process and self._process.returncode is None

    async def ask(self, request: Request) -> Answer:
        """Its answer. Raises ExtractionFailed if there is none, or none that may be: then it has to be killed."""
        self._files += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                await asyncio.get_running_loop().sock_sendall(self._socket, framed(request))
                answer = await self._receive()
        except TimeoutError:
            raise ExtractionFailed(f"its reader took more than {self._limits.seconds:g} s.") from None
        except (EOFError, OSError):
            raise ExtractionFailed(await self._how_it_ended()) from None
        self._is_last = answer.is_last
        return answer

    def kill(self) -> None:
        """At once, with all that it started. Whoever waits for its answer is told that there will be none."""
        with contextlib.suppress(OSError):  # it hung up before
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._process.returncode is None:
            kill_group(self._process.pid)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self) -> None:
        """Kill it, and wait until nothing is left of it."""
        self.kill()
        await self._process.wait()
        self._socket.close()

    async def _receive(self) -> Answer:
        length = LENGTH.unpack(await self._exactly(LENGTH.size))[0]
        if length > self._limits.answer_bytes:
            raise ExtractionFailed(f"its reader gave more than {self._limits.answer_bytes} bytes.")
        try:
            answer = _ANSWER.decode(await self._exactly(length))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ExtractionFailed("its reader gave what is no answer.") from None
        is_long = len(answer.failed or "") > LONGEST_LINE
        if is_long or (answer.found is not None and not keeps_to(self._limits, answer.found)):
            raise ExtractionFailed("its reader gave more than the limits allow.")
        return answer

    async def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = await asyncio.get_running_loop().sock_recv(self._socket, min(count - len(data), 256 * 1024))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    async def _how_it_ended(self) -> str:
        """It has hung up, so it has ended or is about to."""
        try:
            async with asyncio.timeout(5):
                code: int | None = await self._process.wait()
        except TimeoutError:
            code = None
        name = signal_that_ended(code)
        if name == "SIGKILL":
            return "its reader was killed (SIGKILL), mostly for want of memory on this machine."
        if name == "SIGXCPU":
            return f"its reader used the processor for more than {2 * self._limits.seconds:g} s."
        return f"its reader crashed ({name or f'exit code {code}'})."


def _environment() -> dict[str, str]:
    """Nothing of ours that a file could be after. Modules are found where we find them."""
    kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
    own = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"}
    return {**kept, **own}
