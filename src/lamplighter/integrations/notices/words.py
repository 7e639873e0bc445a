"""The words of an event, filled in: one line, fit for a header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamplighter.integrations.notices.events import known_or_plain

LONGEST_NAME = 100  # characters
LONGEST_LINE = 300


def one_line(text: str, most: int = LONGEST_NAME) -> str:
    """Somebody's text without line breaks and what else cannot be printed, cut: it may stand in a header."""
    printable = "".join(character if character.isprintable() else " " for character in text[: most * 2])
    line = " ".join(printable.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def says(event: str, facts: Mapping[str, Any], *, tenant: str | None = None, provider: str | None = None) -> str:
    """What happened once."""
    return filled(known_or_plain(event).one, facts, tenant=tenant or "", provider=provider or "")


def filled(words: str, facts: Mapping[str, Any], **ours: object) -> str:
    """With facts and ours in place, as far as they are there: nothing stays untold for want of one."""
    given = _Given({name: _shown(value) for name, value in facts.items()})
    given.update({name: _shown(value) for name, value in ours.items()})
    try:
        line = words.format_map(given)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # braces that mean something else
        line = words
    return one_line(line, LONGEST_LINE)


class _Given(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else one_line(str(value))
