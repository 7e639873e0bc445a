"""Jobs, outcomes and failures, to msgpack and back. A job's fields have the same order in `lua/_job.lua`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from lamplighter.core.clock import from_us, maybe_from_us, maybe_length, to_us
from lamplighter.core.errors import StoreError, TooLarge
from lamplighter.core.flow_control import Order
from lamplighter.core.log_line import Logged, LogLevel, LogLine
from lamplighter.core.model import (
    ATTEMPT_ENDS,
    Arguments,
    Beat,
    Children,
    Claimed,
    EndedJob,
    Failure,
    FailureKind,
    JobView,
    NewJob,
    OnChildFailure,
    Outcome,
    Record,
    State,
    Unique,
    UniqueMode,
)
from lamplighter.store.carried import carry, parted

LARGEST = 1024 * 1024  # bytes of a job, an outcome or a record: a larger one would hold up all who use the server
# Microseconds since 1970: Lua counts no further exactly, and a place in line has sixteen characters. They are in the
# years 2255 and 1938, and serve as never and as ever.
LATEST, EARLIEST = 2**53 - 1, -(10**15 - 1)

LETTERS = {state: state.value[0] for state in State}
STATES = {letter: state for state, letter in LETTERS.items()}
_TARGETS = {verb: (LETTERS[arrow.target], arrow.spends) for verb, arrow in ATTEMPT_ENDS.items()}

_encode = msgspec.msgpack.Encoder().encode


class Row(Struct, array_like=True, gc=False):
    """A job as it is kept, under its id."""

    state: str
    fence: int
    failures: int
    crashes: int
    run_at: int
    worker: str | None
    started_at: int | None
    lease_until: int | None
    progress: str | None
    stopping: bool | None
    ended_at: int | None
    keep_until: int | None
    result: str | None
    reason: str | None
    waits_on: str | None
    let_go: str | None
    place: int | None
    queue: str
    priority: int
    key: str | None
    mode: UniqueMode | None
    until: int | None
    tenant: str | None
    limits: tuple[str, ...] | None
    name: str
    created_at: int
    args: str
    group: str | None = None
    total: int | None = None
    on_failure: OnChildFailure | None = None
    added: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0


class _FailureRow(Struct, array_like=True, gc=False):
    fence: int
    at: int
    kind: FailureKind
    error: str
    message: str
    traceback: str


class _LogRow(Struct, array_like=True, gc=False):
    fence: int
    n: int
    at: int
    level: LogLevel
    message: str
    fields: str


_decode_row = msgspec.msgpack.Decoder(Row).decode
_decode_failure = msgspec.msgpack.Decoder(_FailureRow).decode
_decode_line = msgspec.msgpack.Decoder(_LogRow).decode
_decode_record = msgspec.msgpack.Decoder(list[str | int]).decode


def moment(at: datetime) -> int:
    """Microseconds that Lua can count."""
    return max(EARLIEST, min(to_us(at), LATEST))


def maybe_moment(at: datetime | None) -> int | None:
    """`moment`, for what may have none."""
    return None if at is None else moment(at)


def pack(value: object, what: str) -> bytes:
    """Msgpack.

    Raises:
        StoreError: it holds half a character.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise StoreError(f"{what} holds {half!a}, half a character: encode it with errors='replace' first.") from error


def bounded(packed: bytes, what: str) -> bytes:
    """The same bytes.

    Raises:
        TooLarge: they are too many.
    """
    if len(packed) > LARGEST:
        raise TooLarge(f"{what} takes {len(packed):,} bytes, more than {LARGEST:,}: store it elsewhere and pass an id.")
    return packed


def new_row(job: NewJob, now: int) -> bytes:
    """A job that is added."""
    run_at, unique = moment(job.run_at), job.unique
    key = (None, None, None) if unique is None else (unique.key, unique.mode, maybe_moment(unique.until))
    created_at = now if job.created_at is None else moment(job.created_at)
    state = "h" if job.children is not None else "q" if run_at <= now else "s"
    past = state, 0, job.failures, job.crashes, run_at
    args = carry(job.args, job.trace)
    fixed = job.queue, job.priority, *key, job.tenant, job.limits or None, job.name, created_at, args
    related = (job.group, job.children, job.on_child_failure) if job.group or job.children is not None else ()
    return bounded(pack((*past, *_TO_COME, *fixed, *related), f"job {job.id}"), f"job {job.id}")


def new_args(job: NewJob, row: bytes) -> tuple[str, bytes, str, str | int]:
    """A job that is added, for `add.lua`."""
    longest = maybe_length(job.debounce_for)
    how = "" if not job.replaces else "-" if longest is None else longest
    return job.id, row, job.parent or "", how


_TO_COME = (None,) * 12  # from `worker` to `place`


def outcome_rows(outcomes: Sequence[Outcome]) -> bytes:
    """How attempts ended, for `finish.lua`: one after the other, each without the one byte that makes it an array."""
    return b"".join(_report(_outcome_row(outcome), "the outcome of job", outcome.id)[1:] for outcome in outcomes)


def _outcome_row(outcome: Outcome) -> tuple[object, ...]:
    run_at, keep_until = maybe_moment(outcome.run_at), maybe_moment(outcome.keep_until)
    why = outcome.failure and _failure_row(outcome.failure)
    ends = run_at, outcome.result, outcome.reason, keep_until, why
    return outcome.id, outcome.fence, *_TARGETS[outcome.verb], *ends, order_rows(outcome.orders) or None


def order_rows(orders: Sequence[Order]) -> list[tuple[str, str, int | None]]:
    """What gates are to do, for `finish.lua` and `order.lua`."""
    return [(order.key, order.verb, maybe_moment(order.until)) for order in orders]


def _failure_row(why: Failure) -> tuple[object, ...]:
    return why.fence, moment(why.at), why.kind, why.error, why.message, why.traceback


def beat_rows(beats: Sequence[Beat]) -> bytes:
    """Beats, for `beat.lua`: likewise."""
    return b"".join(_report(beat, "the progress of job", beat.id)[1:] for beat in beats)


def log_rows(logged: Sequence[Logged]) -> bytes:
    """What attempts logged, for `log.lua`: likewise."""
    return b"".join(_report(_log_row(one), "what was logged by job", one.id)[1:] for one in logged)


def _log_row(one: Logged) -> tuple[object, ...]:
    lines = [(one.fence, line.n, moment(line.at), line.level, line.message, line.fields) for line in one.lines]
    return one.id, one.fence, lines


def _report(row: tuple[object, ...], what: str, job: str) -> bytes:
    packed = pack(row, f"{what} {job}")
    return packed if len(packed) <= LARGEST else bounded(packed, f"{what} {job}")


def claimed_of(pairs: Iterable[tuple[bytes, bytes]]) -> list[Claimed]:
    """Jobs as their worker gets them."""
    return [_claimed(id_.decode(), _decode_row(packed)) for id_, packed in pairs]


def _claimed(id_: str, row: Row) -> Claimed:
    args, trace = parted(row.args)
    return Claimed(
        id_,
        row.fence,
        row.name,
        row.queue,
        row.tenant,
        args,
        row.priority,
        from_us(row.run_at),
        from_us(row.created_at),
        row.failures,
        row.crashes,
        trace,
    )


def ended_of(id_: bytes, packed: bytes) -> EndedJob:
    """How an ended job ended."""
    row = _decode_row(packed)
    assert row.ended_at is not None, "it is found by that"
    return EndedJob(
        id=id_.decode(),
        name=row.name,
        queue=row.queue,
        tenant=row.tenant,
        state=STATES[row.state],
        fence=row.fence,
        run_at=from_us(row.run_at),
        created_at=from_us(row.created_at),
        started_at=maybe_from_us(row.started_at),
        ended_at=from_us(row.ended_at),
    )


def view_of(id_: bytes, packed: bytes) -> JobView:
    """A job as people see it."""
    row = _decode_row(packed)
    unique = None if row.key is None or row.mode is None else Unique(row.key, row.mode, maybe_from_us(row.until))
    args, trace = parted(row.args)
    return JobView(
        id=id_.decode(),
        name=row.name,
        queue=row.queue,
        tenant=row.tenant,
        state=STATES[row.state],
        priority=row.priority,
        run_at=from_us(row.run_at),
        created_at=from_us(row.created_at),
        args=args,
        fence=row.fence,
        failures=row.failures,
        crashes=row.crashes,
        unique=unique,
        limits=row.limits or (),
        waits_on=row.waits_on,
        worker=row.worker,
        started_at=maybe_from_us(row.started_at),
        lease_until=maybe_from_us(row.lease_until),
        stopping=bool(row.stopping),
        progress=row.progress,
        ended_at=maybe_from_us(row.ended_at),
        keep_until=maybe_from_us(row.keep_until),
        result=row.result,
        reason=row.reason,
        group=row.group,
        children=_children_of(row),
        trace=trace,
    )


def arguments_of(id_: bytes, packed: bytes) -> Arguments:
    """What a job was given."""
    return Arguments(id_.decode(), parted(_decode_row(packed).args)[0])


def _children_of(row: Row) -> Children | None:
    if row.total is None:
        return None
    return Children(
        total=row.total,
        on_failure=row.on_failure or "fail",
        added=row.added,
        done=row.done,
        failed=row.failed,
        cancelled=row.cancelled,
    )


def failure_of(packed: bytes) -> Failure:
    """Why an attempt failed."""
    row = _decode_failure(packed)
    at = from_us(row.at)
    return Failure(fence=row.fence, at=at, kind=row.kind, error=row.error, message=row.message, traceback=row.traceback)


def line_of(packed: bytes) -> LogLine:
    """A line that a job logged."""
    row = _decode_line(packed)
    return LogLine(
        fence=row.fence, n=row.n, at=from_us(row.at), level=row.level, message=row.message, fields=row.fields
    )


def record_of(kind: str, name: bytes, packed: bytes) -> Record:
    """A record."""
    value, *expires_at = _decode_record(packed)
    return Record(kind=kind, name=name.decode(), value=str(value), expires_at=maybe_from_us(_first(expires_at)))


def _first(values: list[Any]) -> int | None:
    return values[0] if values else None
