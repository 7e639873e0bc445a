"""Job ids: UUID version 7 (RFC 9562, 6.2 method 1), so that sorting by id is sorting by age."""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from lamplighter.core.clock import from_us

MOST_PLACES = 1 << 20  # children of one job: their places have to fit into their ids
_DIGEST = 54  # bits of a child's id that tell whose it is: of a hundred thousand families of one moment, no two meet

_OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LATEST = 253_402_300_799_999  # milliseconds: the last that a datetime can be
_lock = threading.Lock()
_last = 0


def new_id(now_us: int) -> str:
    """A new id for this moment (microseconds since 1970), greater than every id made before it in this process."""
    global _last  # noqa: PLW0603 - the one counter that keeps ids in order within a millisecond
    stamp = (now_us // 1000) << 12
    with _lock:
        _last = stamp = max(stamp, _last + 1)
    return _written(stamp >> 12, (stamp & 0xFFF) << 62 | random.getrandbits(62))


def first_id(now_us: int) -> str:
    """What no id of this moment (microseconds since 1970) or a later one comes before: where a range of ids begins."""
    return _written(now_us // 1000, 0)


def child_id(parent: str, place: int) -> str:
    """The id of the child at a place, from 0, below a parent: always the same, and greater than the one before it.

    Raises:
        ValueError: the place is past MOST_PLACES.
    """
    if not 0 <= place < MOST_PLACES:
        raise ValueError(f"there is no place {place} among children: a job has {MOST_PLACES:,} at most.")
    return _written(_stamp_of(parent), place << _DIGEST | _digest(parent, _DIGEST))


def named_id(parent: str, name: str) -> str:
    """An id for what a job makes under a name: always the same."""
    return _written(_stamp_of(parent), _digest(f"{parent} {name}", 74))


def place_of(child: str, parent: str) -> int | None:
    """At which place below its parent a child is, if `child_id` made its id."""
    if not _OURS.fullmatch(child):
        return None
    digits = child.replace("-", "")
    place = (int(digits[13:16], 16) << 62 | int(digits[16:], 16) & (1 << 62) - 1) >> _DIGEST
    return place if child_id(parent, place) == child else None


def made_at(id_: str) -> datetime | None:
    """When an id was made, to the millisecond; None if it is no UUID of version 7."""
    if not _OURS.fullmatch(id_):
        return None
    milliseconds = int(id_[:8] + id_[9:13], 16)
    return from_us(milliseconds * 1000) if milliseconds <= _LATEST else None


def _written(milliseconds: int, rest: int) -> str:
    """`rest` are the 74 bits that a moment leaves free."""
    digits = f"{milliseconds:012x}7{rest >> 62:03x}{rest & (1 << 62) - 1 | 1 << 63:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _stamp_of(id_: str) -> int:
    return int(id_[:8] + id_[9:13], 16) if _OURS.fullmatch(id_) else 0


def _digest(text: str, bits: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=10).digest()
    return int.from_bytes(digest) & (1 << bits) - 1


@contextmanager
def counted_anew() -> Iterator[None]:
    """For a simulation: meanwhile ids follow from its clock and dice alone, whatever ids were made before."""
    global _last  # noqa: PLW0603 - as above
    before, _last = _last, 0
    try:
        yield
    finally:
        _last = before
