"""Searching: what people write, what is found and shown, and that tenants find their own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.families.files.places import Tree
from tests.families.files.shelf import Shelf, shelves

from lamplighter.families.files.files import Filter
from lamplighter.families.files.query import for_postgres, for_sqlite, parse
from lamplighter.families.files.snippet import snippet
from lamplighter.families.files.words import END_MARK, MARK, fold

LONG = "word " * 2000


@pytest.fixture(params=["sqlite", "postgres"])
async def shelf(request: pytest.FixtureRequest, tmp_path: object) -> AsyncIterator[Shelf]:
    url = f"sqlite:///{tmp_path}/lamplighter.db"
    url = url if request.param == "sqlite" else request.getfixturevalue("postgres_schema_url")
    async with shelves(url, "copper-bakery", "harbor") as [mine, theirs]:
        tree = Tree()
        folder = tree.add("Déjà vu")
        tree.add("Crème brûlée.txt", folder, f"A quick-brown fox, {LONG} and the invoice of März")
        tree.add("fox_report.txt", None, "Nothing of the kind; an owl")
        tree.add("x <b>.txt", folder, "A brown quick fox")
        other = Tree()
        other.add("theirs.txt", None, "fox rarebit")
        for one, place in ((mine, tree), (theirs, other)):
            await one.sync(place)
            await one.read(place)
        yield mine


BOTH, REPORT, CREAM, X = "", "fox_report.txt", "Déjà vu/Crème brûlée.txt", "Déjà vu/x <b>.txt"


@pytest.mark.timeout(120)
async def test_words_phrases_beginnings_and_what_is_not_wanted(shelf: Shelf) -> None:
    found = {
        "FOX": [CREAM, X, REPORT],
        "fox -owl": [CREAM, X],
        '"quick brown"': [CREAM],
        '"brown quick" fox': [X],
        "inv*": [CREAM],
        "marz": [CREAM],
        "creme brulee": [CREAM],
        "report": [REPORT],
        "rarebit": [],
        "-fox": [],
        '"unfinished fox': [],
        "inv": [],
        "": [],
        "fox OR owl": [],  # OR is a word like any other
    }
    for query, paths in found.items():
        assert await shelf.found(query) == sorted(paths), query
    hits = await shelf.files.search("copper-bakery", "fox")
    assert hits[0].file.path == REPORT, "a name weighs more"
    [hit] = await shelf.files.search("copper-bakery", "marz")
    assert f"{MARK}März{END_MARK}" in hit.snippet
    assert len(hit.snippet) < 400
    assert len(await shelf.files.search("copper-bakery", "fox", limit=2)) == 2
    assert len(await shelf.files.search("copper-bakery", "fox", limit=2, after=2)) == 1
    for which in (
        Filter(under="Déjà vu"),
        Filter(mime_type="text/", under="/Déjà vu/"),
        Filter(status="processed", under="Déjà vu"),
    ):
        assert {hit.file.path for hit in await shelf.files.search("copper-bakery", "fox", which)} == {CREAM, X}
    assert await shelf.files.search("copper-bakery", "fox", Filter(language="de")) == []


async def test_a_listing_is_by_path_and_goes_on_where_it_ended(shelf: Shelf) -> None:
    seen, after = list[str](), ""
    while page := await shelf.files.page("copper-bakery", limit=2, after=after):
        seen += [file.path for file in page]
        after = page[-1].after
    assert seen == ["Déjà vu", CREAM, X, REPORT]
    theirs = await shelf.files.page("harbor")
    assert await shelf.files.get("copper-bakery", theirs[0].id) is None
    assert await shelf.files.text("copper-bakery", theirs[0].id) is None
    assert await shelf.files.text("harbor", theirs[0].id) == "fox rarebit"


async def test_no_query_fails_whatever_is_in_it(shelf: Shelf) -> None:
    for query in (
        "'",
        '"',
        "\\",
        "a' OR 'a",
        "NEAR(a b)",
        "name:fox",
        "^fox",
        "fox*fox",
        "(",
        "\0",
        "\ud800",
        "{a}",
        ":*",
        "!",
        "a & b",
        "-",
    ):
        await shelf.files.search("copper-bakery", query)
        await shelf.files.page("copper-bakery", Filter(under=query, mime_type=query, language=query), after=query)
    await shelf.files.search("copper-bakery", "word " * 10_000)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(), st.text())
def test_a_parsed_query_is_made_of_words_alone_and_a_snippet_of_its_text(query: str, text: str) -> None:
    parsed = parse(query)
    for term in (*parsed.wanted, *parsed.unwanted):
        for word in term.words:
            assert not re.search(r"[\s\"'*:&|!()\\-]", word)
    if parsed.wanted:
        assert for_sqlite("t", parsed)
        assert for_postgres("t", parsed)
    assert len(fold(text)) == len(text)
    shown = snippet(text.replace(MARK, "").replace(END_MARK, ""), parsed)
    assert shown.count(MARK) == shown.count(END_MARK)
