"""One run from a seed: a crew, jobs, faults; then calm, in which everything has to come right."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from lamplighter.core.ids import counted_anew
from lamplighter.engine import janitor
from lamplighter.engine.fetch import POLL
from lamplighter.engine.patience import LONGEST_PAUSE
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.testing.simulation.crew import Crew
from lamplighter.testing.simulation.loop import Standstill, VirtualLoop
from lamplighter.testing.simulation.nemesis import Nemesis
from lamplighter.testing.simulation.people import Enqueuer, Operator, workload
from lamplighter.testing.simulation.promises import judge
from lamplighter.testing.simulation.truth import at_once
from lamplighter.testing.simulation.weather import PATIENCE, Weather
from lamplighter.testing.simulation.world import World
from lamplighter.testing.verify import snapshot
from lamplighter.testing.verify.history import DRIFT, Found, History
from lamplighter.testing.verify.jobs import keys_of_groups
from lamplighter.testing.verify.lines import Line
from lamplighter.testing.verify.tasks import QUEUES

JOBS = 40
LASTS = 20.0  # seconds of faults
STUCK_AFTER = 120.0  # seconds of calm past which what has not ended is stuck
PRUNE_EVERY = 3.0  # seconds: so that pruning too happens many times
LOOK = 0.25
LATEST = 3 * PATIENCE + 1  # seconds after which everything has arrived

Wrap = Callable[[Store], Store]


class Result(Struct, frozen=True, kw_only=True):
    """What came of a run. `digest`: of all that happened; the same for the same seed. `broken`: promises, and cases."""

    seed: int
    digest: str
    weather: Weather
    seconds: float
    turns: int
    jobs: int
    faults: int
    rescues: int
    broken: dict[str, list[str]]
    lines: list[Line]


def run(seed: int, *, wrap: Wrap | None = None) -> Result:
    """Simulate one run. `wrap` is given the memory store, and returns what is used in its place."""
    store: Store = MemoryStore()
    loop = VirtualLoop(random.Random(f"{seed} turns"))
    world = World(seed, loop, store if wrap is None else wrap(store))
    with _alone(seed):
        history, broken = _judged(world, store)
        if history is None:  # only now, when no traceback holds its tasks any more
            _drop(loop)
        loop.close()
    return _result(world, history, broken)


def _judged(world: World, store: Store) -> tuple[History | None, dict[str, list[str]]]:
    try:
        history = world.loop.run_until_complete(_run(world, store))
    except Standstill as error:
        return None, {"standstill": [str(error)]}
    broken = judge(world.chronicle, history)
    return history, broken | ({"errors": world.loop.errors} if world.loop.errors else {})


def _drop(loop: VirtualLoop) -> None:
    """Let go, without a word, of the tasks that nothing can end any more: each would complain of that."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loop.close()
            gc.collect()
    finally:
        sys.unraisablehook = hook


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """With dice, ids and intervals of its own, and without a word of what goes wrong: that is the idea."""
    state, every, told = random.getstate(), janitor.PRUNE_EVERY, logging.root.manager.disable
    collects = gc.isenabled()
    random.seed(f"{seed} engine")
    janitor.PRUNE_EVERY = PRUNE_EVERY
    logging.disable(logging.CRITICAL)
    gc.disable()  # when it comes depends on what ran before; it would end forgotten tasks at moments of its own
    try:
        with counted_anew():
            yield
    finally:
        random.setstate(state)
        janitor.PRUNE_EVERY = every
        logging.disable(told)
        if collects:
            gc.enable()


async def _run(world: World, store: Store) -> History:
    crew = Crew(world)
    for _ in range(world.weather.workers):
        crew.start()
    await _storm(world, crew)
    await _calm(world, store)
    await asyncio.sleep(max(3 * world.weather.lease, PRUNE_EVERY, LONGEST_PAUSE) + janitor.LOOK + POLL)
    await _close(crew, world, store)
    found = await _look(world, crew, store)
    lines = list(world.chronicle.lines)
    await crew.bury()
    return _history(world, lines, found)


async def _storm(world: World, crew: Crew) -> None:
    tasks = workload(world, JOBS)
    jobs = [
        world.loop.spawn(name, Enqueuer(world, name, share).run(LASTS))
        for name, share in (("e1", tasks[::2]), ("e2", tasks[1::2]))
    ]
    jobs.append(world.loop.spawn("operator", Operator(world).run(LASTS)))
    await Nemesis(world, crew).rage(LASTS)
    world.network.is_calm = True
    await asyncio.gather(*jobs)
    await asyncio.sleep(LATEST)


async def _calm(world: World, store: Store) -> None:
    """Until all has ended; what has not, long after, is stuck."""
    for queue in QUEUES:
        await world.truth.store.pause(queue, paused=False)  # a pause may have arrived after its end
    await _until(world, lambda: not _live(store))


async def _until(world: World, done: Callable[[], bool]) -> None:
    over = world.loop.time() + STUCK_AFTER
    while not done() and world.loop.time() < over:  # noqa: ASYNC110 - a look costs nothing, on virtual time
        await asyncio.sleep(LOOK)


def _live(store: Store, *, crons: bool = False) -> int:
    stats = [one for one in at_once(store.stats()) if crons or one.queue in QUEUES]
    return sum(one.held + one.scheduled + one.queued + one.running for one in stats)


async def _close(crew: Crew, world: World, store: Store) -> None:
    """One more worker does what is left: slots of the schedule that came while the others ended."""
    await crew.all_leave()
    crew.start(crons=False)
    await _until(world, lambda: not _live(store, crons=True))
    await crew.all_leave()
    await asyncio.sleep(3 * world.weather.lease)  # how long the record of a worker lives that crashed late
    await snapshot.prune(store, world.chronicle.now)


async def _look(world: World, crew: Crew, store: Store) -> Found:
    now = world.chronicle.now
    views = await snapshot.all_jobs(store)
    leftovers = await snapshot.leftovers(store, views, now)
    keys = {line.detail for line in world.chronicle.lines if line.what == "added" and line.detail}
    free = await snapshot.free_keys(store, {*keys, *keys_of_groups()}, now)
    return Found(views=views, keys=free, leftovers=leftovers, ended_alone=crew.ended_alone)


def _history(world: World, lines: list[Line], found: Found) -> History:
    return History(
        seed=world.seed,
        jobs=max((line.number for line in lines), default=0) + 1,
        lease=world.weather.lease,
        lines=lines,
        faults=world.chronicle.all_faults(),
        found=found,
        drift=DRIFT + 2 * world.chronicle.clock_error,
    )


def _result(world: World, history: History | None, broken: dict[str, list[str]]) -> Result:
    lines = world.chronicle.lines if history is None else history.lines
    views = [] if history is None else history.found.views
    faults = world.chronicle.faults
    return Result(
        seed=world.seed,
        digest=hashlib.sha256(msgspec.json.encode((lines, views, faults))).hexdigest()[:16],
        weather=world.weather,
        seconds=world.loop.time(),
        turns=world.loop.turns,
        jobs=len(views),
        faults=len(faults),
        rescues=len(world.chronicle.rescues),
        broken=broken,
        lines=lines,
    )
