"""Searching jobs by what they were given."""

from __future__ import annotations

import pytest

from lamplighter import App, Ctx
from lamplighter.app import search as module
from lamplighter.app.search import Found, search
from lamplighter.core.model import State, Where
from lamplighter.store.memory import MemoryStore
from lamplighter.testing.conformance._make import EVERY, add, job


async def names(store: MemoryStore, text: str) -> list[str]:
    return [view.name for view in (await search(store, EVERY, text, limit=9)).jobs]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("i-42", ["deep", "list", "text"]),
        ("id=i-42", ["deep", "text"]),
        ("id=i-4", []),
        ("n=5", ["number", "digits"]),
        ("n=50", ["more"]),
        ("ok=true", ["flag"]),
        ('say "hi"', ["quoted"]),
        ('"n":5', ["more", "number"]),
        ("Zoë", ["letters"]),
        ("I-42", []),
    ],
)
async def test_what_is_found_holds_the_text_or_has_the_field(text: str, found: list[str]) -> None:
    given = {
        "text": '{"id":"i-42"}',
        "letters": '{"name":"Zoë"}',
        "quoted": r'{"name":"say \"hi\" twice"}',
        "flag": '{"ok":true,"n":1}',
        "digits": '{"n":"5"}',
        "number": '{"n":5}',
        "more": '{"n":50,"m":5}',
        "list": '{"ids":["i-42"]}',
        "deep": '{"of":{"id":"i-42"}}',
    }
    async with MemoryStore() as store:
        await add(store, *(job(name=name, args=args) for name, args in given.items()))
        assert await names(store, text) == found


async def test_a_search_looks_at_so_many_and_goes_on_after_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    monkeypatch.setattr(module, "AT_ONCE", 4)
    async with MemoryStore() as store:
        ids = await add(store, *(job(args=f'{{"n":{n}}}', tenant="t") for n in range(25)), job(args='{"n":3}'))
        where = Where(tenants=("t",), states=(State.QUEUED,))
        first = await search(store, where, "n=3", limit=5)
        assert first == Found([], 10, ids[15])
        second = await search(store, where, "n=3", limit=5, before=first.next)
        assert second == Found([], 10, ids[5])
        third = await search(store, where, "n=3", limit=5, before=second.next)
        assert ([view.id for view in third.jobs], third.looked_at, third.next) == ([ids[3]], 5, None)


async def test_a_search_that_has_found_enough_goes_on_after_the_last() -> None:
    async with MemoryStore() as store:
        ids = await add(store, *(job(args='{"n":"x"}') for _ in range(5)))
        found = await search(store, EVERY, "n=x", limit=2)
        assert ([view.id for view in found.jobs], found.looked_at, found.next) == ([ids[4], ids[3]], 2, ids[3])
        found = await search(store, EVERY, "n=x", limit=9, before=found.next)
        assert ([view.id for view in found.jobs], found.next) == (ids[2::-1], None)


async def test_a_search_through_long_arguments_stops_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TEXT", 500)
    monkeypatch.setattr(module, "BREATH", 100)
    async with MemoryStore() as store:
        ids = await add(store, *(job(args=f'"{"x" * 90}"') for _ in range(20)))
        assert await search(store, EVERY, "y", limit=2) == Found([], 6, ids[14])


async def test_a_search_that_takes_too_long_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 4)
    async with MemoryStore() as store:
        ids = await add(store, *(job(args='{"n":1}') for _ in range(10)))
        assert await search(store, EVERY, "n=2", limit=2, patience=0) == Found([], 4, ids[6])


async def test_what_was_enqueued_is_found_by_its_argument() -> None:
    app = App("memory://")

    @app.job()
    async def greet(ctx: Ctx[None], name: str, times: int = 1) -> None: ...

    async with app:
        handles = await app.enqueue(greet.draft(f"Ada {n}", times=n) for n in range(3))
        for text in ("times=2", "name=Ada 2"):
            assert [view.id for view in (await search(app.store, EVERY, text, limit=9)).jobs] == [handles[2].id], text
