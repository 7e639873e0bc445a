"""What is wrong with the machine: its disk, its clock, and who may read what is secret."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from lamplighter.app.why.telling import rough
from lamplighter.core.clock import utcnow
from lamplighter.engine.timekeeping import WORTH_TELLING
from lamplighter.store.base import Store

LEAST_SHARE, LEAST_BYTES = 0.1, 5 * 1024**3  # free; with either, there is room
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def disk_nearly_full(folders: Iterable[Path]) -> Iterator[str]:
    """Each disk is told of once."""
    known = set[int]()
    for folder in map(_nearest, folders):
        if (device := folder.stat().st_dev) in known:
            continue
        known.add(device)
        total, _, free = shutil.disk_usage(folder)
        if free < LEAST_SHARE * total and free < LEAST_BYTES:
            yield (
                f"the disk of {folder} has {free / 1024**2:,.0f} MB free, {100 * free / total:.0f} % of it: free some "
                "before writes fail; `lamplighter queues` tells what is kept, and keep_done for how long."
            )


def permissions(files: Iterable[Path]) -> Iterator[str]:
    """Keys are for their owner alone."""
    for file in files:
        if file.exists() and file.stat().st_mode & OTHERS:
            yield f"{file} holds secrets and others may use it: `chmod 600 {file}`."
        elif file.exists() and not os.access(file, os.R_OK):
            yield f"{file} cannot be read by this user: give it to the user that runs the workers."


async def clock(store: Store) -> list[str]:
    """Whether this machine's clock is the store's."""
    before, moment, after = utcnow(), await store.time(), utcnow()
    if moment is None:
        return []
    ahead = before + (after - before) / 2 - moment
    if abs(ahead) <= WORTH_TELLING:
        return []
    way = "ahead of" if ahead > timedelta() else "behind"
    return [
        f"this machine's clock is {rough(abs(ahead).total_seconds())} {way} the store's: set it right, e.g. by NTP."
    ]


def _nearest(folder: Path) -> Path:
    """The folder, or the one that it will be made in."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())
