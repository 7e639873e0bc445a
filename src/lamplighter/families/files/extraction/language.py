"""In which language a text is."""

from __future__ import annotations

import re
from functools import cache

from eld import LanguageDetector

_SHORTEST = 40  # characters: fewer are as likely a name or a number
_ENOUGH = 4000
_LONG = 4 * _ENOUGH  # then it may begin with contents, which are in no language

_LIKE, _CLEARER = 0.4, 1.5


@cache
def _detector() -> LanguageDetector:
    return LanguageDetector()


def language_of(text: str, declared: str | None) -> str | None:
    """As ISO 639-1. What the file declares counts only where its text says nothing: templates are copied with it."""
    start = len(text) // 4 if len(text) > _LONG else 0
    sample = text[start : start + _ENOUGH]
    if len(sample) >= _SHORTEST and (found := _detected(sample)):
        return found
    match = re.match(r"([A-Za-z]{2})([-_]|$)", declared or "")
    return match[1].lower() if match else None


def _detected(sample: str) -> str | None:
    found = _detector().detect(sample)
    best, second, *_ = sorted((*found.scores().values(), 0.0, 0.0), reverse=True)
    # What is full of names of functions and files is like no language much, and yet like one more than any other.
    is_clear = best >= _LIKE and best >= _CLEARER * second
    return str(found.language) if found.language and (found.is_reliable() or is_clear) else None


def prepare() -> None:
    """Load the detector's table, which is the larger part of a process's start."""
    _detector()
