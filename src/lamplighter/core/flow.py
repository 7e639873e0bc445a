"""Jobs that run one after the other, or side by side and then one more: drafts put together, not added yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar, Union, get_args, overload

from msgspec.structs import replace

from lamplighter.core.draft import Draft
from lamplighter.core.errors import ConfigError
from lamplighter.core.ids import MOST_PLACES, child_id
from lamplighter.core.model import NewJob, OnChildFailure

R = TypeVar("R")
Step: TypeAlias = Union[Draft[Any], "Flow[Any]"]


class Flow(Generic[R]):
    """A job that is held until its children have ended, and those, which may be flows too. See `chain` and `group`."""

    __slots__ = ("children", "count", "on_failure", "then")

    def __init__(
        self, children: Iterable[Step], then: Draft[R], *, on_failure: OnChildFailure, count: int | None = None
    ) -> None:
        if on_failure not in get_args(OnChildFailure):
            raise ConfigError(
                f"on_failure={on_failure!r} is not one of {', '.join(get_args(OnChildFailure))}: change it."
            )
        sized = children if isinstance(children, Sized) or count is not None else list(children)
        self.children = sized
        self.count = count if count is not None else len(sized) if isinstance(sized, Sized) else 0
        self.then = then
        self.on_failure = on_failure
        if not 0 <= self.count <= MOST_PLACES:
            raise ConfigError(f"a job cannot have {self.count:,} children: give 0 to {MOST_PLACES:,}, or nest groups.")

    def jobs(self, id_: str, now: datetime, *, parent: str | None = None) -> Iterator[tuple[Draft[Any], NewJob]]:
        """All its jobs, each after the one that it is a child of. Their ids follow from `id_`, that of the last to run.

        `parent`: the running job that adds them.

        Raises:
            ConfigError: there are not as many children as `count` says, or one of them has a unique key.
        """
        yield self.then, _held(self.then.new_job(now, parent=parent), self, id_)
        levels = [_Level(id_, self)]
        while levels:
            found = levels[-1].next()
            if found is None:
                levels.pop()
                continue
            step, place, above = found
            below = child_id(above, place)
            draft = step.then if isinstance(step, Flow) else step
            job = replace(_without_key(draft).new_job(now), id=below, group=above)
            if isinstance(step, Flow):
                job = _held(job, step, below)
                levels.append(_Level(below, step))
            yield draft, job


@overload
def chain(first: Step, last: Draft[R], /, *, on_failure: OnChildFailure = "fail") -> Flow[R]: ...
@overload
def chain(first: Step, b: Draft[Any], last: Draft[R], /, *, on_failure: OnChildFailure = "fail") -> Flow[R]: ...
@overload
def chain(
    first: Step, b: Draft[Any], c: Draft[Any], last: Draft[R], /, *, on_failure: OnChildFailure = "fail"
) -> Flow[R]: ...
@overload
def chain(first: Step, /, *rest: Draft[Any], on_failure: OnChildFailure = "fail") -> Flow[Any]: ...
def chain(first: Step, /, *rest: Draft[Any], on_failure: OnChildFailure = "fail") -> Flow[Any]:
    """One after the other: `chain(fetch.draft(url), parse.draft(), save.draft())`.

    Each finds what the one before it came to in `ctx.children()`. The first may be a flow, such as a group.

    Raises:
        ConfigError: there is only one, or `on_failure` (see `group`) is none.
    """
    if not rest:
        raise ConfigError("a chain of one is no chain: enqueue the job itself, or give what comes after it.")
    step = first
    for then in rest:
        step = Flow([step], then, on_failure=on_failure)
    assert isinstance(step, Flow)
    return step


def group(
    children: Iterable[Step], then: Draft[R], *, on_failure: OnChildFailure = "fail", count: int | None = None
) -> Flow[R]:
    """Side by side, and then one more, which finds their outcomes in `ctx.children()`.

    Args:
        children: drafts or flows, at most 1,048,576. They are drafted one by one as they are enqueued.
        then: runs when they have ended.
        on_failure: "fail" ends `then` as failed as soon as one of them fails or is cancelled, while the others go on;
            "continue" runs it whatever became of them.
        count: how many there are, where `children` cannot tell: else a generator is gathered into a list first.

    Raises:
        ConfigError: they are too many, or `on_failure` is neither.
    """
    return Flow(children, then, on_failure=on_failure, count=count)


class _Level:
    """One family, while it is gone through."""

    def __init__(self, id_: str, flow: Flow[Any]) -> None:
        self._id = id_
        self._count = flow.count
        self._rest = iter(flow.children)
        self._place = 0

    def next(self) -> tuple[Step, int, str] | None:
        """The next child, its place, and whose it is."""
        step, place = next(self._rest, None), self._place
        if (step is None) is (place < self._count):
            came = f"only {place:,}" if step is None else "more"
            raise ConfigError(
                f"a group of count={self._count:,} has {came} children: correct the count. If job {self._id} was added "
                "already, it waits: cancel it, or enqueue what is missing under the same id."
            )
        self._place += 1
        return None if step is None else (step, place, self._id)


def _held(job: NewJob, flow: Flow[Any], id_: str) -> NewJob:
    return replace(job, id=id_, children=flow.count, on_child_failure=flow.on_failure)


def _without_key(draft: Draft[Any]) -> Draft[Any]:
    if draft.key is not None:
        raise ConfigError(
            f"job {draft.definition.name!r} has a unique key, and is waited for in vain if another holds that: "
            "draft children with using(unique=False)."
        )
    return draft
