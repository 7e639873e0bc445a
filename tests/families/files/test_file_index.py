"""Whatever happens at a source and to who indexes it: in the end the index is that of a fresh listing."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.families.files.places import Tree
from tests.families.files.shelf import Killed, Shelf, fresh, shelves

EXAMPLES = 25
ACTIONS = ["add file", "add folder", "edit", "move", "move folder", "remove", "turn", "reset", "sync", "die", "read"]


def change(tree: Tree, action: str, dice: random.Random) -> None:
    """Something happens there, if it can."""
    files = [one.id for one in tree.items.values() if one.text is not None]
    folders = [one.id for one in tree.items.values() if one.text is None]
    name = dice.choice(["a", "b", "c", "d e"] if tree.by_path else ["a", "b", "c", "d e", "f/g"])
    somewhere = dice.choice([None, *folders])
    match action:
        case "add file":
            tree.add(name, somewhere, dice.choice(["red fox", "blue fox", "broken", ""]))
        case "add folder":
            tree.add(name, somewhere)
        case "edit" if files:
            tree.edit(dice.choice(files), dice.choice(["red fox", "green owl", "broken"]))
        case "move" if files:
            tree.move(dice.choice(files), name, somewhere)
        case "move folder" if folders:
            tree.move(dice.choice(folders), name, somewhere)
        case "remove" | "turn" if tree.items:
            (turn if action == "turn" and tree.by_path else Tree.remove)(tree, dice.choice(list(tree.items)))
        case "reset":
            tree.reset()


def turn(tree: Tree, id_: str) -> None:
    """A folder is where a file was, or the other way round, or an empty one where one was."""
    item = tree.items[id_]
    tree.remove(id_)
    tree.add(item.name, item.parent, "was a folder" if item.text is None and item.revision % 2 else None)


async def act(tree: Tree, shelf: Shelf, action: str, dice: random.Random) -> None:
    match action:
        case "sync":
            await shelf.sync(tree)
        case "die":
            with suppress(Killed):
                await shelf.sync(tree, die_after=dice.randint(1, 3))
        case "read":
            await shelf.read(tree)
        case _:
            change(tree, action, dice)


async def live(shelf: Shelf, tree: Tree, actions: list[str], seed: int) -> None:
    dice = random.Random(seed)
    for action in actions:
        await act(tree, shelf, action, dice)
        assert await shelf.counted() == await shelf.recounted()
    await shelf.sync(tree)  # which may end a listing that began before the last changes
    await shelf.sync(tree)
    await shelf.read(tree)
    anew = await fresh(shelf)
    await anew.sync(tree)
    await anew.read(tree)
    assert await shelf.rows() == await anew.rows()
    assert await shelf.counted() == await shelf.recounted() == await anew.counted()
    assert {row["path"] for row in await shelf.rows()} == {
        "/".join(part.replace("/", "_") for part in ways(tree, id_)) for id_ in tree.items
    }
    for word in ("fox", "owl", "red -fox", "was", "broken", "a", "e"):
        assert await shelf.found(word) == await anew.found(word)


def ways(tree: Tree, id_: str) -> list[str]:
    item = tree.items[id_]
    return [*(ways(tree, item.parent) if item.parent else []), item.name]


TREES = st.builds(Tree, by_path=st.booleans(), has_delta=st.booleans(), page_size=st.integers(1, 4))


def test_any_course_of_events_leads_to_the_index_of_a_fresh_listing(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        shelf_for = shelves(f"sqlite:///{tmp_path}/lamplighter.db?synchronous=off", "copper-bakery")
        [first] = runner.run(shelf_for.__aenter__())

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(TREES, st.lists(st.sampled_from(ACTIONS), max_size=40), st.integers(0, 1000))
        def check(tree: Tree, actions: list[str], seed: int) -> None:
            runner.run(live(runner.run(fresh(first)), tree, actions, seed))

        try:
            check()
        finally:
            runner.run(shelf_for.__aexit__(None, None, None))


@pytest.mark.parametrize("tree", [Tree(), Tree(by_path=True), Tree(has_delta=False, page_size=2)])
async def test_it_does_on_postgres_too(postgres_schema_url: str, tree: Tree) -> None:
    actions = random.Random(7).choices(ACTIONS, k=60)
    async with shelves(postgres_schema_url, "copper-bakery") as [shelf]:
        await live(shelf, tree, actions, seed=7)


async def test_a_folder_that_is_gone_and_there_again_holds_what_was_told_since(tmp_path: Path) -> None:
    async with shelves(f"sqlite:///{tmp_path}/lamplighter.db", "copper-bakery") as [shelf]:
        tree = Tree(by_path=True, page_size=10)
        folder = tree.add("a")
        for name in ("old", "kept"):
            tree.add(name, folder, "red fox")
        await shelf.sync(tree)
        tree.remove(folder)
        tree.add("kept", tree.add("a"), "red fox")
        await shelf.sync(tree)
        assert [row["path"] for row in await shelf.rows()] == ["a", "a/kept"]
        assert await shelf.counted() == await shelf.recounted() == (1, 1, 0)
