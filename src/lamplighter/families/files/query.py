"""What people write to search: words, "phrases", -not, prefix*. Whatever they write means something, or nothing."""

from __future__ import annotations

import re
from typing import NamedTuple

from lamplighter.families.files.words import clean, key_of, words_of

LONGEST = 500  # characters that are looked at
MOST_TERMS = 20
MOST_WORDS = 20  # of a phrase

_TERM = re.compile(r'(?P<no>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


class Term(NamedTuple):
    """Words that stand one after another; with `is_prefix` the last one may go on."""

    words: tuple[str, ...]
    is_prefix: bool = False


class Query(NamedTuple):
    """All of the one, and none of the other."""

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...]


def parse(text: str) -> Query:
    """What is searched for. Without anything wanted, nothing is found."""
    wanted, unwanted = list[Term](), list[Term]()
    for match in _TERM.finditer(clean(text[:LONGEST])):
        term = _term(match["phrase"] if match["word"] is None else match["word"], is_word=match["word"] is not None)
        if term.words and len(wanted) + len(unwanted) < MOST_TERMS:
            (unwanted if match["no"] else wanted).append(term)
    return Query(tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys(unwanted)))


def for_sqlite(tenant_id: str, query: Query) -> str:
    """In the language of FTS5. Words are letters and digits, and each is quoted."""
    key = key_of(tenant_id)

    def written(term: Term) -> str:
        return f'"{" ".join(key + word for word in term.words)}"' + (" *" if term.is_prefix else "")

    wanted = f"({' AND '.join(map(written, query.wanted))})"
    return f"{wanted} NOT ({' OR '.join(map(written, query.unwanted))})" if query.unwanted else wanted


def for_postgres(tenant_id: str, query: Query) -> str:
    """As a tsquery is written."""
    key = key_of(tenant_id)

    def written(term: Term) -> str:
        words = [f"'{key}{word}'" for word in term.words]
        return f"({' <-> '.join(words)}{':*' if term.is_prefix else ''})"

    return " & ".join([*map(written, query.wanted), *(f"!{written(term)}" for term in query.unwanted)])


def _term(text: str, *, is_word: bool) -> Term:
    words = tuple(words_of(text))[:MOST_WORDS]
    return Term(words, is_prefix=is_word and text.endswith("*"))
