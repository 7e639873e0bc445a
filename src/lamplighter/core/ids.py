"""Job ids: UUID version 7 (RFC 9562, 6.2 method 1), so that sorting by id is sorting by age."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from lamplighter.core.clock import from_us

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
    digits = f"{stamp >> 12:012x}7{stamp & 0xFFF:03x}{random.getrandbits(62) | 1 << 63:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def made_at(id_: str) -> datetime | None:
    """When an id was made, to the millisecond; None if it is no UUID of version 7."""
    if not _OURS.fullmatch(id_):
        return None
    milliseconds = int(id_[:8] + id_[9:13], 16)
    return from_us(milliseconds * 1000) if milliseconds <= _LATEST else None


@contextmanager
def counted_anew() -> Iterator[None]:
    """For a simulation: meanwhile ids follow from its clock and dice alone, whatever ids were made before."""
    global _last  # noqa: PLW0603 - as above
    before, _last = _last, 0
    try:
        yield
    finally:
        _last = before
