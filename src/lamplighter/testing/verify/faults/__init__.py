"""Every kind of fault, by name."""

from __future__ import annotations

import difflib

from lamplighter.core.errors import ConfigError
from lamplighter.testing.verify.faults import disk, network, server, workers
from lamplighter.testing.verify.faults.arena import Arena, Kind, everywhere
from lamplighter.testing.verify.places.place import Place

__all__ = ["KINDS", "Arena", "Kind", "chosen", "left_out"]

_ALL = (
    Kind(name="kill", says="SIGKILL to a worker", lane="workers", act=workers.kill, missing=everywhere),
    Kind(name="stop", says="a worker stands still", lane="workers", act=workers.stop, missing=everywhere),
    Kind(name="block", says="a handler blocks the loop", lane="workers", act=workers.block, missing=everywhere),
    Kind(name="clock", says="clocks an hour off", lane="workers", act=workers.clock, missing=workers.one_clock),
    Kind(name="cut", says="all connections break", lane="store", act=network.cut, missing=network.no_link),
    Kind(name="freeze", says="connections carry nothing", lane="store", act=network.freeze, missing=network.no_link),
    Kind(name="slow", says="a slow network", lane="store", act=network.slow, missing=network.no_link),
    Kind(name="server-kill", says="the server dies", lane="store", act=server.server_kill, missing=server.not_ours),
    Kind(
        name="connections",
        says="no connection is left",
        lane="store",
        act=server.connections,
        missing=server.connections_not_held,
    ),
    Kind(name="commit-kill", says="SIGKILL to a writer", lane="workers", act=disk.commit_kill, missing=disk.not_sqlite),
    Kind(name="disk-full", says="the file cannot grow", lane="store", act=disk.disk_full, missing=disk.not_sqlite),
)
KINDS = {kind.name: kind for kind in _ALL}


def chosen(names: str, place: Place) -> list[Kind]:
    """The faults that are asked for: `all` that the place allows, `none`, or these, with commas between.

    Raises:
        ConfigError: there is no such fault, or the place does not allow it.
    """
    if names == "none":
        return []
    if names == "all":
        return [kind for kind in _ALL if not kind.missing(place)]
    kinds = [_named(name.strip()) for name in names.split(",")]
    for kind in kinds:
        if reason := kind.missing(place):
            raise ConfigError(f"the fault {kind.name} cannot be had here, {reason}: leave it out of --faults.")
    return kinds


def left_out(place: Place) -> dict[str, str]:
    """The faults that the place does not allow, and why."""
    return {kind.name: reason for kind in _ALL if (reason := kind.missing(place))}


def _named(name: str) -> Kind:
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}."
        raise ConfigError(f"there is no fault {name!r:.60}: {hint}")
    return KINDS[name]
