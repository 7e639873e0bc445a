"""From what a reader found to what is stored: clean, and within its limits."""

from __future__ import annotations

import math

from lamplighter.families.files.extraction.clean import clean_date, clean_line, is_clean
from lamplighter.families.files.extraction.document import Found
from lamplighter.families.files.extraction.extracted import Extracted
from lamplighter.families.files.extraction.language import language_of
from lamplighter.families.files.extraction.limits import LONGEST_LINE, Limits

_MOST_PAGES = 10_000_000
_LONGEST_NUMBER = 2**53  # whole numbers that JSON's readers agree about


def finish(mime_type: str, found: Found, limits: Limits) -> Extracted:
    """What is told of the file."""
    text = found.text
    return Extracted(
        mime_type=clean_line(mime_type, LONGEST_LINE) or "application/octet-stream",
        text=text,
        is_cut=found.is_cut,
        title=clean_line(found.title, LONGEST_LINE),
        author=clean_line(found.author, LONGEST_LINE),
        language=language_of(text, found.language),
        pages=found.pages if found.pages is not None and 0 <= found.pages <= _MOST_PAGES else None,
        created_at=clean_date(found.created_at),
        modified_at=clean_date(found.modified_at),
        details=_details(found, limits),
    )


def _details(found: Found, limits: Limits) -> dict[str, str | int | float | bool]:
    details: dict[str, str | int | float | bool] = {}
    for key, value in found.details.items():
        if len(details) >= limits.most_details:
            break
        name = clean_line(key, LONGEST_LINE)
        told = clean_line(value, LONGEST_LINE) if isinstance(value, str) else value
        if name and told is not None and _is_number_of_use(told):
            details[name] = told
    return details


def _is_number_of_use(value: str | float | bool) -> bool:  # noqa: FBT001 - a value among others
    return isinstance(value, str) or (math.isfinite(value) and abs(value) <= _LONGEST_NUMBER)


def keeps_to(limits: Limits, found: Extracted) -> bool:
    """Whether it is what `finish` gives: for the parent, which does not believe its child."""
    lines = [found.mime_type, found.title, found.author, found.language, *found.details]
    lines += [value for value in found.details.values() if isinstance(value, str)]
    dates = (found.created_at, found.modified_at)
    return (
        len(found.text) <= limits.text_chars
        and len(found.details) <= limits.most_details
        and all(len(line) <= LONGEST_LINE and is_clean(line) for line in lines if line is not None)
        and is_clean(found.text)
        and all(date is None or date.tzinfo is not None for date in dates)
        and all(_is_number_of_use(value) for value in found.details.values())
        and (found.pages is None or 0 <= found.pages <= _MOST_PAGES)
    )
