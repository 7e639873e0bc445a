"""The fields of a record, bounded and checked. What is refused is named by its field, and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from lamplighter.core.clock import EPOCH
from lamplighter.core.secret import Secret
from lamplighter.integrations.imports.fault import BadRecord

Fields = Mapping[str, Any]

LONGEST_NAME = 200  # characters of a name or of somebody else's id
LONGEST_TOKEN = 32 * 1024
LONGEST_SCOPES = 8 * 1024  # of all together
FIRST_YEAR, LAST_YEAR = 2000, 2199  # what is outside was no date, or in another unit

_OURS = re.compile(r"[A-Za-z0-9_.:-]{1,128}")  # an id becomes part of a unique key, and of URLs
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TOKEN = re.compile(r"[\x20-\x7e]+")  # RFC 6749, appendix A
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?")


def text(fields: Fields, name: str, *, most: int = LONGEST_NAME) -> str | None:
    """A text without control characters; None if there is none. Raises BadRecord, as all of these do."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadRecord(f"{name} is not a text: write it as one.")
    if len(value) > most:
        raise BadRecord(f"{name} is longer than {most:,} characters: shorten it.")
    if _CONTROL.search(value):
        raise BadRecord(f"{name} holds control characters: take them out.")
    return value


def needed(fields: Fields, name: str) -> str:
    """A text that has to be there."""
    value = text(fields, name)
    if value is None:
        raise BadRecord(f"{name} is missing: give one.")
    return value


def our_id(fields: Fields, name: str) -> str | None:
    """An id that a row of ours can have."""
    value = text(fields, name)
    if value is not None and not _OURS.fullmatch(value):
        raise BadRecord(f"{name} is not 1 to 128 characters of A-Z, a-z, 0-9, '_', '.', ':' and '-': leave it out.")
    return value


def token(fields: Fields, name: str) -> Secret | None:
    """A token in plain text."""
    value = text(fields, name, most=LONGEST_TOKEN)
    if value is not None and not _TOKEN.fullmatch(value):
        raise BadRecord(f"{name} holds characters that no token has: export it again.")
    return None if value is None else Secret(value)


def moment(fields: Fields, name: str) -> datetime | None:
    """A moment: a date of ISO 8601, in UTC where it does not say otherwise, or seconds since 1970."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        found = _moment(value)
    except (ValueError, OverflowError):
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise BadRecord(
            f"{name} is no moment from {FIRST_YEAR} to {LAST_YEAR}: "
            "write it as 2030-01-31T18:00:00Z, or in seconds since 1970."
        )
    return found


def scopes(fields: Fields, name: str) -> tuple[str, ...]:
    """Scopes: a list, or one text with spaces between them."""
    value = fields.get(name)
    words = value.split() if isinstance(value, str) else () if value is None else value
    if not isinstance(words, list | tuple) or not all(isinstance(one, str) and _TOKEN.fullmatch(one) for one in words):
        raise BadRecord(f"{name} are no scopes: write a list of texts, or one text with spaces between them.")
    found = tuple(" ".join(words).split())
    if sum(map(len, found)) + len(found) > LONGEST_SCOPES:
        raise BadRecord(f"{name} are longer than {LONGEST_SCOPES:,} characters: leave out what was not granted.")
    return found


def _moment(value: object) -> datetime | None:
    match value:
        case datetime():
            return value
        case str() if _SECONDS.fullmatch(value):
            return EPOCH + timedelta(seconds=float(value))
        case str():
            found = datetime.fromisoformat(value)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        case int() | float() if not isinstance(value, bool):
            return EPOCH + timedelta(seconds=value)
        case _:
            return None
