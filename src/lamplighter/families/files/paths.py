"""Paths: where files are, from the root of their source, with '/' between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lamplighter.families.files.words import clean, cut

LONGEST = 2000  # bytes, which an index can hold: of a longer one the beginning is kept
DEEPEST = 100  # folders: what is further down is kept at that depth, so that even a circle of folders has an end
NAMELESS = "(no name)"


class Link(NamedTuple):
    """What something is called, and in which folder it is; None: in the root."""

    name: str
    parent: str | None


def join(folder: str, name: str) -> str:
    """The path of what is in a folder; '' is the root."""
    if folder.count("/") >= DEEPEST:
        return folder
    plain = name.replace("/", "_")
    return cut(f"{folder}/{plain}" if folder else plain, LONGEST)


def told(path: str) -> str:
    """A path as its source tells it, as it is kept."""
    return cut(clean(path).strip("/"), LONGEST)


def resolve(links: Mapping[str, Link], known: Mapping[str, str]) -> dict[str, str]:
    """The paths of these by id. `known`: of folders that are not among them; one that nobody knows is the root."""
    paths: dict[str, str] = {}
    for id_ in links:
        way = _way_up(links, id_, paths)
        for step in reversed(way):
            parent = links[step].parent
            folder = paths.get(parent) or known.get(parent, "") if parent is not None else ""
            paths[step] = join(folder, links[step].name)
    return paths


def _way_up(links: Mapping[str, Link], id_: str, done: Mapping[str, str]) -> list[str]:
    """From this one up to the last whose path is not known yet; of a circle, each once."""
    way: dict[str, None] = {}
    step: str | None = id_
    while step is not None and step in links and step not in done and step not in way:
        way[step] = None
        step = links[step].parent
    return list(way)
