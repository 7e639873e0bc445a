"""Steps from one schema of a store to the next, alike for every store that has one.

A step is a numbered file, such as `migrations/002_pre_until_of_unique_keys.sql`. Pre steps only add, and are taken
before new code is deployed: workers of the old code go on. Post steps take away what only old code needed, and are
taken when no worker of the old code is left. So a pre step must work whether or not the post steps before it were
taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.resources import files
from typing import Literal, NamedTuple, Protocol, cast

from lamplighter.core.errors import StoreDamaged

Phase = Literal["pre", "post"]

_NAME = re.compile(r"(?P<number>\d{3})_(?P<phase>pre|post)_(?P<title>\w+)\.\w+")


class Step(NamedTuple):
    """One step. Its number alone names it: a title may be put better later."""

    number: int
    phase: Phase
    title: str


Choose = Callable[[Sequence[Step]], list[Step]]


class Schema(Protocol):
    """The schema of one store, as `lamplighter migrate` sees it. Nothing has to be opened."""

    @property
    def what(self) -> str:
        """What it is the schema of, for sentences, without secrets: `the database file /srv/jobs.db`."""

    @property
    def steps(self) -> Sequence[Step]:
        """The steps that this code knows, in order."""

    async def taken(self) -> list[Step]:
        """The steps that were taken, in order; none where there is no store yet. Changes and makes nothing."""

    async def take(self, choose: Choose) -> list[Step]:
        """Take the steps that `choose` picks when it hears which were taken; returns them.

        All that in one transaction, with the note that they were taken, and with every other process held off before
        `choose` is asked: of several that migrate at once, one takes each step.
        """

    async def doubts(self) -> list[str]:
        """A sentence for each setting of the server that may lose jobs. Changes nothing."""


def read_steps(package: str) -> dict[Step, str]:
    """The steps in the folder `migrations` of a package, in order, each with its script."""
    found = {}
    for file in files(package).joinpath("migrations").iterdir():
        if name := _NAME.fullmatch(file.name):
            step = Step(int(name["number"]), cast("Phase", name["phase"]), name["title"].replace("_", " "))
            found[step] = file.read_text(encoding="utf-8")
    assert sorted(step.number for step in found) == list(range(1, len(found) + 1)), "steps are numbered without gaps"
    return dict(sorted(found.items()))


async def migrate(schema: Schema, *, post: bool = False) -> list[Step]:
    """Take the steps that are pending, each in a transaction of its own; returns those taken here.

    Safe to run again after it was interrupted, and while others do the same.

    Raises:
        StoreDamaged: a newer Lamplighter took a post step.
    """
    choose = partial(_next, schema, post=post)
    done: list[Step] = []
    while some := await schema.take(choose):
        done += some
    return done


def _next(schema: Schema, taken: Sequence[Step], *, post: bool) -> list[Step]:
    refuse_newer(schema.what, schema.steps, taken)
    return all_if_new(schema.steps, taken) or pending(schema.steps, taken, post=post)[:1]


def all_if_new(known: Sequence[Step], taken: Sequence[Step]) -> list[Step]:
    """Every step for an empty store: all at once, so that who opens it at the same moment finds none or all of them."""
    return [] if taken else list(known)


def pending(known: Iterable[Step], taken: Iterable[Step], *, post: bool) -> list[Step]:
    """The steps still to be taken: pre steps, and post steps too if no worker of older code is left."""
    numbers = {step.number for step in taken}
    return [step for step in known if step.number not in numbers and (post or step.phase == "pre")]


def refuse_unfit(what: str, known: Sequence[Step], taken: Sequence[Step]) -> None:
    """Go on only with a schema that this code can work with. A pre step that it does not know only added something.

    Raises:
        StoreDamaged: a pre step is lacking, or a post step was taken that this code does not know.
    """
    refuse_newer(what, known, taken)
    if lacking := pending(known, taken, post=False):
        raise StoreDamaged(f"{what} lacks {_told(lacking)} of this version: run `lamplighter migrate`.")


def refuse_newer(what: str, known: Iterable[Step], taken: Iterable[Step]) -> None:
    """Go on only if every post step that was taken is known.

    Raises:
        StoreDamaged: what this code needs may have been taken away.
    """
    numbers = {step.number for step in known}
    if any(step.phase == "post" and step.number not in numbers for step in taken):
        raise StoreDamaged(f"{what} was migrated for a newer Lamplighter alone: upgrade this one.")


def _told(steps: Sequence[Step]) -> str:
    *most, last = [str(step.number) for step in steps]
    return f"schema steps {', '.join(most)} and {last}" if most else f"schema step {last}"
