"""Words, the same in every database: a text folded and split, each word under the key of its tenant.

Every tenant has words of its own: what others have costs a search nothing, and no count or rank tells of them. The
databases are given words that are split already, so none of their parsers, which differ, has a part in it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from functools import lru_cache

LONGEST_WORD = 80  # characters: what is longer is found by its beginning
KEY_LETTERS = 8
LAST_POSITION = 16_383  # of a word in PostgreSQL
MOST_POSITIONS = 255

MARK, END_MARK = "\ue000", "\ue001"  # around what matched: no text that is stored holds them
_UNWANTED = dict.fromkeys((0, ord(MARK), ord(END_MARK)))
_FOLDED_UP_TO = 0x400  # Latin and Greek letters lose their accents: in other scripts, marks make other letters


class _Folding(dict[int, int]):
    """What becomes of each character: one character, so that places in a folded text are those in the text."""

    def __missing__(self, code: int) -> int:
        self[code] = folded = ord(_folded(chr(code)))
        return folded


_FOLDING = _Folding()


def clean(text: str) -> str:
    """What a database can hold of it, composed: the same letters are the same characters."""
    encodable = text.encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFC", encodable.translate(_UNWANTED))


def cut(text: str, most_bytes: int) -> str:
    """Its beginning, of so many bytes in UTF-8."""
    data = text.encode()
    return text if len(data) <= most_bytes else data[:most_bytes].decode(errors="ignore")


def fold(text: str) -> str:
    """Without case and accents, and with a space in place of whatever belongs to no word. As long as the text is."""
    return text.translate(_FOLDING)


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    return [word[:LONGEST_WORD] for word in fold(text).split()]


@lru_cache(maxsize=1000)
def key_of(tenant_id: str) -> str:
    """What the words of a tenant begin with. If two tenants have one key, they are still told apart by their rows."""
    number = int.from_bytes(hashlib.blake2b(tenant_id.encode(), digest_size=8).digest())
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(KEY_LETTERS))


def for_sqlite(tenant_id: str, text: str) -> str:
    """The words as SQLite's tokenizer takes them, which parts what spaces part."""
    key = key_of(tenant_id)
    return " ".join(key + word for word in words_of(text))


def for_postgres(tenant_id: str, name: str, title: str, text: str) -> str:
    """The words as a tsvector is written: each with where it is, and how much it weighs there."""
    key = key_of(tenant_id)
    places: defaultdict[str, list[str]] = defaultdict(list)
    position = 0
    for part, weight in ((name, "A"), (title, "B"), (text, "")):
        for word in words_of(part):
            position += 1
            found = places[word]
            if (len(found) < MOST_POSITIONS and position <= LAST_POSITION) or not found:
                found.append(f"{min(position, LAST_POSITION)}{weight}")
        position += 1  # or the last word of one part and the first of the next would be a phrase
    return " ".join(f"'{key}{word}':{','.join(found)}" for word, found in places.items())


def _folded(character: str) -> str:
    if unicodedata.category(character)[0] not in "LNM":
        return " "
    base, *marks = list(unicodedata.normalize("NFD", character))
    is_accented = ord(base) < _FOLDED_UP_TO and all(unicodedata.combining(mark) for mark in marks)
    lower = (base if is_accented else character).lower()
    return lower if len(lower) == 1 else character
