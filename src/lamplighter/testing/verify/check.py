"""The promises, one function each: given a history, who broke it. Pure, and able to fail: see its tests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from msgspec import Struct

from lamplighter.core.model import ENDED, LIVE, JobView, State
from lamplighter.testing.verify.history import Attempt, Fault, History
from lamplighter.testing.verify.jobs import CRON, CRON_EVERY, PREFIX
from lamplighter.testing.verify.lines import Line
from lamplighter.testing.verify.tasks import HELD, LINKS, Task, is_kept, proper_end


class Promise(Struct, frozen=True):
    """What must be none. `broken` tells each case, with the job's id."""

    name: str
    says: str
    broken: Callable[[History], Iterator[str]]


class Doubled(Struct, frozen=True):
    """A job whose effect happened once more, and why that may be: None if nothing excuses it."""

    job: str
    first: Attempt
    again: Attempt
    excuse: Fault | None


def lost(history: History) -> Iterator[str]:
    """Jobs that the store acknowledged, and that never had their effect or are not there."""
    for job, line in history.acknowledged.items():
        if history.was_lost_with(line.at) or job in history.unwanted:
            continue
        this, view = history.task(line.number), history.views.get(job)
        if proper_end(this.kind) is State.DONE and job not in history.effects and not _has_other_end(view):
            yield f"{job} ({this.kind}) was added and never ran to its end"
        elif view is None and is_kept(this.kind):
            yield f"{job} ({this.kind}) was added and is not in the store"
        elif view is not None and view.state is State.DONE and proper_end(this.kind) is not State.DONE:
            yield f"{job} ({this.kind}) is done, though it always fails"
    yield from _lost_links(history)
    yield from _lost_slots(history)


def _has_other_end(view: JobView | None) -> bool:
    """Whether it is counted elsewhere: as stuck, or as a false dead letter."""
    return view is not None and view.state is not State.DONE


def _lost_links(history: History) -> Iterator[str]:
    """Chains that broke: a job that is done must have handed its key on."""
    steps: defaultdict[int, set[int]] = defaultdict(set)
    for lines in history.effects.values():
        steps[lines[0].number].add(lines[0].step)
    cut = {history.acknowledged[job].number for job in history.unwanted if job in history.acknowledged}
    for line in history.acknowledged.values():
        if line.step or history.was_lost_with(line.at) or history.task(line.number).kind != "chain":
            continue
        if line.number in cut:
            continue
        missing = set(range(LINKS)) - steps[line.number]
        if missing and steps[line.number]:
            yield f"{line.job} (chain) ran, but its successor {min(missing)} never did"


def _lost_slots(history: History) -> Iterator[str]:
    """Slots of the schedule that no job was made for, between the first and the last that have one."""
    slots = sorted({view.run_at for view in history.found.views if view.name == CRON and view.state is State.DONE})
    for before, after in pairwise(slots):
        if after - before > CRON_EVERY and not any(fault.loses for fault in history.faults):
            yield f"no job was made for the slots between {before:%H:%M:%S} and {after:%H:%M:%S}"


def doubled(history: History) -> list[Doubled]:
    """Every effect past the first of its job, with what excuses it."""
    found = []
    for job, attempts in history.attempts.items():
        with_effect = [attempt for attempt in attempts if attempt.ended is not None]
        found += [Doubled(job, first, again, _excuse(history, first, again)) for first, again in pairwise(with_effect)]
    return found


def _excuse(history: History, first: Attempt, again: Attempt) -> Fault | None:
    """A fault that met the first attempt before its end was acknowledged. Nothing excuses a second run after that,
    but for a store that may lose its last moments."""
    if first.is_accepted and first.settled is not None:
        return history.was_lost_with(first.settled)
    if first.verb == "release" and first.settled is not None and first.ended is not None:
        # its handler had had its effect, and was cut short before it returned, because its worker stopped
        return Fault(kind="handed back", at=first.ended, until=first.settled, hit=(first.who,))
    met = (
        fault
        for fault in (*history.faults, *history.stalls)
        if fault.excuses and fault.hits(first.who, first.claimed, again.claimed)
    )
    return next(met, None)


def doubled_without_cause(history: History) -> Iterator[str]:
    """Effects that happened twice though no fault met the job while it ran, and one attempt that had two effects."""
    for one in doubled(history):
        if one.excuse is None:
            after = "after the store had accepted its end" if one.first.is_accepted else "without a fault meanwhile"
            yield f"{one.job} had its effect again {after} (fences {one.first.fence} and {one.again.fence})"
    for job, lines in history.effects.items():
        for fence, times in Counter(line.fence for line in lines).items():
            if times > 1:
                yield f"{job} had its effect {times} times under one fence ({fence})"


def doubled_slots(history: History) -> Iterator[str]:
    """Slots of the schedule with more than one job."""
    for slot, times in Counter(view.run_at for view in history.found.views if view.name == CRON).items():
        if times > 1:
            yield f"{times} jobs were made for the slot {slot:%H:%M:%S}"


def zombies(history: History) -> Iterator[str]:
    """Ends that the store accepted from an attempt whose job it had already given to another."""
    for job, attempts in history.attempts.items():
        for old, new in pairwise(attempts):
            if old.settled is not None and old.asked is not None and old.asked > new.claimed:
                yield f"{job}: the end of attempt {old.fence} was accepted while {new.who} had attempt {new.fence}"


def stuck(history: History) -> Iterator[str]:
    """Jobs that have not ended though nothing is in their way."""
    for view in history.found.views:
        if view.state in LIVE:
            yield f"{view.id} ({view.name.removeprefix(PREFIX)}) is still {view.state}"


def dead(history: History) -> Iterator[str]:
    """Jobs that ended as failed or cancelled though their handler does neither."""
    for view in history.found.views:
        if view.state not in ENDED or view.state is State.DONE:
            continue
        if view.state is State.CANCELLED and view.id in history.unwanted:
            continue
        if view.name != f"{PREFIX}doomed" or view.state is State.CANCELLED:
            yield f"{view.id} ({view.name.removeprefix(PREFIX)}) is {view.state}: {view.reason or 'no reason'}"


def ghosts(history: History) -> Iterator[str]:
    """Jobs that nobody added: their transaction was rolled back, or their id is unknown to all who add."""
    spare = dict(history.doubts)
    for job, number in _jobs_seen(history).items():
        if job in history.withdrawn:
            yield f"{job} is there, though the transaction that added it was rolled back"
        elif job not in history.acknowledged and number >= 0:
            spare[number] = spare.get(number, 0) - 1
            if spare[number] < 0:
                yield f"{job} is there, though nobody added it"


def _jobs_seen(history: History) -> dict[str, int]:
    """The number of each job that the store holds or that ran; -1 for those of the schedule."""
    seen = {line.job: line.number for line in history.lines if line.what == "begin"}
    for view in history.found.views:
        if view.name != CRON:
            seen.setdefault(view.id, _number(view))
    return seen


def _number(view: JobView) -> int:
    """The task of a job, from its arguments: `{"number":7}`."""
    digits = view.args.partition('"number":')[2]
    return int(digits.partition(",")[0].rstrip("} "))


def early(history: History) -> Iterator[str]:
    """Jobs that began before they were due."""
    for job, attempts in history.attempts.items():
        line = history.acknowledged.get(job)
        this = history.task(line.number) if line else None
        if line is None or this is None or this.kind != "scheduled" or attempts[0].begun is None:
            continue
        ahead = line.since + this.delay - history.drift - attempts[0].begun
        if ahead > 0:
            yield f"{job} began {ahead:.2f} s before it was due"


def shared_keys(history: History) -> Iterator[str]:
    """Unique keys that two jobs held at one time."""
    holders: defaultdict[str, list[Line]] = defaultdict(list)
    for line in history.acknowledged.values():
        if line.detail and not history.task(line.number).holds:
            holders[line.detail].append(line)
    for key, lines in holders.items():
        for held, taken in pairwise(sorted(lines, key=lambda line: line.at)):
            effects = history.effects.get(held.job)
            if effects and held.at < taken.since and taken.at < effects[0].at:
                yield f"{taken.job} was given the key {key!r} while {held.job} held it"


def leftovers(history: History) -> Iterator[str]:
    """Keys, locks and records that nobody needs any more, and keys that should be held and are not."""
    wanted = _keys_to_be_held(history)
    for key, free in history.found.keys.items():
        if not free and key not in wanted:
            yield f"the key {key!r} is still held"
        elif free and wanted.get(key):
            yield f"the key {key!r} is free, though {wanted[key]} holds it for {HELD:.0f} s"
    for job, line in history.acknowledged.items():
        if job in history.views and job not in history.unwanted and not is_kept(history.task(line.number).kind):
            yield f"{job} ({history.task(line.number).kind}) is still in the store, though it was not to be kept"
    yield from history.found.leftovers


def _keys_to_be_held(history: History) -> Mapping[str, str]:
    """Keys that outlive their jobs, each with the job that took it; without one where the add may not have counted."""
    wanted: dict[str, str] = {}
    for line in history.lines:
        if line.what in {"asked", "added"} and 0 <= line.number < history.jobs:
            this: Task = history.task(line.number)
            if this.holds == HELD and this.key is not None:
                sure = line.what == "added" and not history.was_lost_with(line.at)
                wanted[this.key] = line.job if sure else wanted.get(this.key, "")
    return wanted


def ended_alone(history: History) -> Iterator[str]:
    """Processes that ended by themselves: losing the store must make them wait."""
    yield from history.found.ended_alone


PROMISES = (
    Promise("lost", "an acknowledged job runs to its end", lost),
    Promise("doubled without cause", "an effect happens twice only if a fault met the job", doubled_without_cause),
    Promise("slots doubled", "a slot of a schedule is one job", doubled_slots),
    Promise("zombies", "a worker that lost its lease cannot finish the job", zombies),
    Promise("stuck", "no job is left waiting or running", stuck),
    Promise("false dead letters", "only what fails ends as failed", dead),
    Promise("ghosts", "what was rolled back or never added does not run", ghosts),
    Promise("early", "nothing runs before it is due", early),
    Promise("shared keys", "one job at a time holds a unique key", shared_keys),
    Promise("leftovers", "no key, lock or record outlives its use", leftovers),
    Promise("crashed workers", "a worker waits for its store", ended_alone),
)


def lost_with_the_last_moments(history: History) -> int:
    """Acknowledged jobs that are gone with what the store may lose when its server is killed."""
    gone = (
        job
        for job, line in history.acknowledged.items()
        if history.was_lost_with(line.at) and job not in history.views and job not in history.effects
    )
    return sum(1 for _ in gone)


def check(history: History) -> dict[str, list[str]]:
    """Every broken promise by its name; no cases where it held."""
    return {promise.name: list(promise.broken(history)) for promise in PROMISES}
