"""Job ids: UUID version 7 (RFC 9562, 6.2 method 1), so that sorting by id is sorting by age."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def counted_anew() -> Iterator[None]:
    """For a simulation: meanwhile ids follow from its clock and dice alone, whatever ids were made before."""
    global _last  # noqa: PLW0603 - as above
    before, _last = _last, 0
    try:
        yield
    finally:
        _last = before
