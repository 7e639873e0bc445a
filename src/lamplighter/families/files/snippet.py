"""A piece of a text around what was searched for, with marks around each match. Callers escape it, then the marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lamplighter.families.files.query import Query, Term
from lamplighter.families.files.words import END_MARK, MARK, fold

BEFORE, LENGTH = 60, 240  # characters

Span = tuple[int, int]


def snippet(text: str, query: Query) -> str:
    """From a little before the first match on; without one, its beginning."""
    folded = fold(text)
    first = next(_matches(folded, query.wanted), (0, 0))[0]
    start, end = _window(text, first)
    marked = _marked(text, start, end, list(_matches(folded[start:end], query.wanted)))
    return ("… " if start else "") + " ".join(marked.split()) + (" …" if end < len(text) else "")


def highlighted(text: str, query: Query) -> str:
    """All of a short text."""
    return _marked(text, 0, len(text), list(_matches(fold(text), query.wanted)))


def _window(text: str, first: int) -> Span:
    """Whole words, where there are spaces."""
    start = max(0, first - BEFORE)
    if start:
        start = text.rfind(" ", start - BEFORE if start > BEFORE else 0, start) + 1 or start
    end = min(len(text), start + LENGTH)
    if end < len(text):
        end = max(text.rfind(" ", first + 1, end), 0) or end
    return start, end


def _marked(text: str, start: int, end: int, spans: Sequence[Span]) -> str:
    parts, at = list[str](), start
    for from_, to in spans:
        parts += [text[at : start + from_], MARK, text[start + from_ : start + to], END_MARK]
        at = start + to
    return "".join([*parts, text[at:end]])


def _matches(folded: str, terms: Sequence[Term]) -> Iterator[Span]:
    if terms:
        for match in re.finditer("|".join(map(_pattern, terms)), folded):
            yield match.span()


def _pattern(term: Term) -> str:
    words = r"\s+".join(map(re.escape, term.words))
    return rf"(?<!\S){words}(?:\S*|(?!\S))" if term.is_prefix else rf"(?<!\S){words}(?!\S)"
