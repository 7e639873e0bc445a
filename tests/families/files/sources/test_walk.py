"""A walk over any tree, killed after every page, and a tree that changes on the way."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.families.files.source import CursorReset, Entry, SourceDown, SourceRefused
from lamplighter.families.files.sources import walk
from lamplighter.families.files.sources.pending import Part, Pending, look_at_some
from lamplighter.families.files.sources.walk import AHEAD, Walk

Tree = dict[str, bool]  # whether what has that path is a folder

NAMES = st.text(alphabet="aZ0 .-é", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree: Tree = {}
    for path in draw(st.lists(PATHS, max_size=40)):
        parts = path.split("/")
        around = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if path not in tree and all(tree.get(folder, True) for folder in around):
            tree |= dict.fromkeys(around, True) | {path: draw(st.booleans())}
    return tree


def entry(path: str, *, is_folder: bool) -> Entry:
    return Entry(id=path, name=path.rpartition("/")[2], path=path, is_folder=is_folder)


def below(tree: Tree, folder: str) -> list[Entry]:
    return [entry(path, is_folder=kind) for path, kind in tree.items() if path.rpartition("/")[0] == folder]


class Disk:
    """Looks at a tree, and counts."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.looks = self.now = self.most = 0
        self.is_down = False

    async def look(self, folder: str) -> list[Entry] | None:
        self.looks += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if self.is_down:
            raise SourceDown("down: try again later.")
        return below(self.tree, folder) if not folder or self.tree.get(folder) else None


async def all_of(disk: Disk, *, killed: bool) -> list[str]:
    found: list[str] = []
    cursor, is_last, one = None, False, Walk(disk.look)
    while not is_last:
        page = await one.page(cursor)
        assert len(page.entries) <= walk.MOST
        found += [entry.id for entry in page.entries]
        cursor, is_last = page.cursor, page.is_last
        if killed:
            await one.aclose()
            one = Walk(disk.look)
    await one.aclose()
    return found


@settings(max_examples=60, deadline=None)
@given(tree=trees(), most=st.integers(1, 7))
def test_whatever_tree_there_is_all_of_it_is_told_once_and_the_same_after_every_kill(tree: Tree, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "MOST", most)
        found = asyncio.run(all_of(Disk(tree), killed=False))
        assert sorted(found) == sorted(tree)
        assert asyncio.run(all_of(Disk(tree), killed=True)) == found


@settings(max_examples=60, deadline=None)
@given(tree=trees(), most=st.integers(1, 20))
def test_folders_known_by_id_are_all_told_too_in_pages_that_are_not_too_long(tree: Tree, most: int) -> None:
    async def look(one: Pending) -> Part:
        start = int(one.marker or 0)
        inside = below(tree, one.folder)
        end = start + one.limit
        return Part(inside[start:end], str(end) if end < len(inside) else None)

    async def everything() -> list[str]:
        found: list[str] = []
        pending = [Pending("")]
        while pending:
            entries, pending = await look_at_some(pending, look)
            assert len(entries) <= most
            found += [entry.id for entry in entries]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lamplighter.families.files.sources.pending.MOST", most)
        assert sorted(asyncio.run(everything())) == sorted(tree)


async def test_folders_are_fetched_side_by_side_but_each_only_once() -> None:
    tree = {f"{number:03}": True for number in range(100)} | {f"{number:03}/x": False for number in range(100)}
    disk = Disk(tree)
    assert len(await all_of(disk, killed=False)) == 200
    assert disk.looks == 101
    assert 1 < disk.most <= AHEAD


async def test_a_walk_goes_on_over_what_went_and_after_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST", 2)
    disk = Disk({"a": True, "a/x": False, "a/y": False, "a/z": False, "b": True, "b/x": False, "c": False})
    one = Walk(disk.look)
    first = await one.page(None)
    second = await one.page(first.cursor)
    for path in ("a", "a/x", "a/y", "a/z"):
        del disk.tree[path]
    disk.is_down = True
    with pytest.raises(SourceDown):
        await Walk(disk.look).page(second.cursor)
    disk.is_down = False
    rest = [await Walk(disk.look).page(second.cursor)]
    while not rest[-1].is_last:
        rest.append(await Walk(disk.look).page(rest[-1].cursor))
    assert [entry.id for page in rest for entry in page.entries] == ["b/x"]
    with pytest.raises(CursorReset):
        await one.page(rest[-1].cursor)
    await one.aclose()


async def test_a_root_that_went_is_refused_and_not_taken_for_empty() -> None:
    async def nothing(folder: str) -> None:
        return None

    with pytest.raises(SourceRefused, match="no more"):
        await Walk(nothing).page(None)
