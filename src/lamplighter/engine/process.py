"""A handler in a process of its own, which can be killed and whose memory can be bounded."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import pickle
import threading
import time
import traceback
from datetime import timedelta
from functools import reduce
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from msgspec import Raw, Struct

from lamplighter.core.codec import Codec
from lamplighter.core.definition import Definition
from lamplighter.core.errors import ConfigError
from lamplighter.core.flow_control import OrderVerb
from lamplighter.core.model import State
from lamplighter.engine.context import CURRENT_JOB, Ctx
from lamplighter.engine.job_log import Log
from lamplighter.engine.outcome import Crashed, message_of
from lamplighter.engine.process_group import end_with, kill_group, limit_memory, signal_that_ended
from lamplighter.engine.thread import in_thread
from lamplighter.observe.fields import RUNNING, WORKER
from lamplighter.observe.log import LogSetUp, log_set_up, set_up_logging
from lamplighter.observe.trace_id import CARRIED
from lamplighter.observe.tracing import current_trace, go_on_in

_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the worker's threads' locks, held for ever
_PAUSE = 0.2  # seconds between two looks at what a handler logged: one that logs a lot must not keep the worker busy


class HandlerError(Exception):
    """What a handler raised, where the error itself could not leave its process: its name and text."""


class Task(Struct, frozen=True, kw_only=True):
    """What a child is to do. The function is found again by name: code does not travel.

    `logs`: how its process is to log, if this one was set up by us. `trace`: the span that it is run in.
    """

    name: str
    module: str
    qualname: str
    arguments: dict[str, Any]
    context: dict[str, Any]
    memory_mb: int | None
    log_lines: int
    logs: LogSetUp | None
    worker: str | None
    trace: str | None


async def call_in_process(definition: Definition, ctx: Ctx[Any], arguments: dict[str, Any]) -> Any:
    """What the handler returns, as JSON; if the caller is cancelled, the process and all that it started are killed."""
    function = definition.function
    task = Task(
        name=definition.name,
        module=function.__module__,
        qualname=function.__qualname__,
        arguments=arguments,
        context={key: getattr(ctx, key) for key in ("id", "name", "queue", "tenant", "attempt", "run_at")},
        memory_mb=definition.memory_mb,
        log_lines=ctx.log.keep,
        logs=log_set_up(),
        worker=WORKER.get(),
        trace=current_trace(),
    )
    child = _Child(task, ctx)
    try:
        answer = await in_thread(child.serve, f"process-of-{ctx.id}")
    except asyncio.CancelledError:
        child.kill()
        raise
    return None if answer is None else Raw(answer.encode())


class _Child:
    """The worker's side: a thread that starts the process and listens to it."""

    def __init__(self, task: Task, ctx: Ctx[Any]) -> None:
        self._task = task
        self._ctx = ctx
        self._lock = threading.Lock()
        self._killed = False
        self._process: multiprocessing.process.BaseProcess | None = None

    def serve(self) -> str | None:
        """The result as JSON; raises what the handler raised, or Crashed."""
        ours, theirs = _SPAWN.Pipe()
        try:
            with self._lock:
                if self._killed:
                    return None
                self._process = _SPAWN.Process(target=_main, args=(self._task, theirs), daemon=True)
                self._process.start()
            theirs.close()
            return self._listen(ours)
        finally:
            ours.close()
            theirs.close()
            self._reap()

    def kill(self) -> None:
        """End it at once, with everything that it started."""
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.pid is not None and self._process.exitcode is None:
                kill_group(self._process.pid)
                self._process.kill()

    def _listen(self, connection: Connection) -> str | None:
        while True:
            try:
                kind, value = connection.recv()
            except (EOFError, OSError):
                raise self._crash() from None
            if kind == "progress":
                self._ctx.tell(value)
            elif kind == "order":
                self._ctx.order(*value)
            elif kind == "logged":
                self._ctx.log.take_over(value)
            elif kind == "returned":
                return None if value is None else str(value)
            else:
                raise _revived(value)

    def _crash(self) -> Crashed:
        assert self._process is not None
        self._process.join(5)
        code = self._process.exitcode
        if name := signal_that_ended(code):
            return Crashed(f"its process was killed by {name}: look for a lack of memory.")
        return Crashed(f"its process ended without an answer (exit code {code}): see what it printed.")

    def _reap(self) -> None:
        if self._process is None:
            return
        self._process.join(1)  # it has answered: give it a moment to end by itself
        self.kill()
        self._process.join()


class _Pipe:
    """To the worker; any thread may send. What is logged goes by and by, so it is known of one that is killed, too."""

    def __init__(self, connection: Connection, log: Log) -> None:
        self._connection = connection
        self._log = log
        self._door = threading.Lock()
        threading.Thread(target=self._tell_on, daemon=True).start()

    def send(self, kind: str, value: object) -> None:
        with self._door:
            self._connection.send((kind, value))

    def tell_log(self) -> None:
        """What was logged since."""
        with self._door:
            if lines := self._log.waiting():
                self._connection.send(("logged", lines))
                self._log.told(lines[-1].n)

    def _tell_on(self) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            while True:
                time.sleep(_PAUSE)
                self.tell_log()


class _ChildCtx(Ctx[Any]):
    """Tells progress and orders to the worker at once."""

    pipe: _Pipe

    def children(self, *states: State) -> NoReturn:  # noqa: ARG002 - whichever are wanted
        raise ConfigError(
            f"job {self.name!r} runs in a process of its own, which has no store: read its children in a job that does "
            "not, and pass on what it needs."
        )

    def progress(self, done: float, of: float | None = None, note: str = "") -> None:
        super().progress(done, of, note)
        self.pipe.send("progress", self.take_progress())

    def order(self, key: str, verb: OrderVerb, lasts: timedelta) -> None:
        self.pipe.send("order", (key, verb, lasts))


def _main(task: Task, connection: Connection) -> None:
    """The child's side."""
    os.setsid()
    _end_with_the_worker()
    if task.memory_mb is not None:
        limit_memory(task.memory_mb)
    if task.logs is not None:
        set_up_logging(*task.logs)
    log = Log(task.log_lines)
    pipe = _Pipe(connection, log)
    try:
        answer: tuple[str, Any] = ("returned", _work(task, pipe, log))
    except BaseException as error:  # noqa: BLE001 - it is raised again in the worker
        answer = ("raised", _packed(error))
    pipe.tell_log()
    pipe.send(*answer)


def _work(task: Task, pipe: _Pipe, log: Log) -> str | None:
    found: Any = reduce(getattr, task.qualname.split("."), importlib.import_module(task.module))
    function = getattr(found, "function", found)  # a registered job, or the function as it was written
    ctx = _ChildCtx(getattr(found, "deps", None), **task.context, log=lambda: log)
    ctx.pipe = pipe
    CURRENT_JOB.set(ctx.id)
    RUNNING.set(ctx)
    WORKER.set(task.worker)
    CARRIED.set(task.trace)
    go_on_in(task.trace)
    value = function(ctx, **task.arguments)
    if asyncio.iscoroutine(value):
        value = asyncio.run(value)
    return Codec(task.name, function).dump_result(value)


def _end_with_the_worker() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    end_with(parent.join)


class _Packed(Struct, frozen=True, kw_only=True):
    """An error on its way to the worker: pickled apart from the rest, for its class may be unknown there."""

    parts: bytes | None
    whole: bytes | None
    name: str
    message: str
    traceback: str


def _packed(error: BaseException) -> _Packed:
    return _Packed(
        parts=_pickled((type(error), error.args, dict(vars(error)))),
        whole=_pickled(error),
        name=type(error).__qualname__,
        message=message_of(error),
        traceback="".join(traceback.format_exception(error)),
    )


def _pickled(value: object) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001 - any class may fail in any way
        return None


def _revived(packed: _Packed) -> BaseException:
    """The same error, if it can be had here: else one that tells its name and text."""
    error: BaseException = HandlerError(f"{packed.name}: {packed.message}")
    for make, data in ((_from_parts, packed.parts), (pickle.loads, packed.whole)):
        with contextlib.suppress(Exception):
            made = make(data or b"")
            if isinstance(made, BaseException) and message_of(made) == packed.message:
                error = made
                break
    vars(error)["remote_traceback"] = packed.traceback
    return error


def _from_parts(data: bytes) -> BaseException:
    """Not by `__init__`, whose parameters nobody knows. Errors that keep more than their `args` come whole instead."""
    kind, args, fields = pickle.loads(data)  # noqa: S301 - our own
    error: BaseException = kind.__new__(kind)
    error.args = args
    vars(error).update(fields)
    return error
