"""Quantiles of very many values, in few numbers: DDSketch (Masson, Rim and Lee, VLDB 2019), by its authors' library.

A value is known by its bucket, which is within 1 % of it. How many are in each bucket adds up exactly, in whatever
order: so a sketch that is made anew is the same, and those of hours merge to that of their day. The database counts by
bucket, and this makes sketches of the counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from ddsketch import DDSketch, LogarithmicMapping

ACCURACY = 0.01  # a quantile differs from the value that it stands for by no more than this share of it
LEAST = 1e-9  # what is smaller counts as zero
MOST = 1e15

_mapping = LogarithmicMapping(ACCURACY)


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """A sketch as it is kept: how many are zero, the first bucket, and how many are in that and each that follows."""

    zeros: int
    first: int
    counts: list[int]


def bucket_of(value: float) -> int | None:
    """The bucket of a value from 0 to `MOST`; None is that of zero."""
    return _mapping.key(value) if value >= LEAST else None


def pack(buckets: Iterable[tuple[int | None, int]]) -> str:
    """The sketch of so many values in each bucket, as text."""
    counted = dict(buckets)
    zeros = counted.pop(None, 0)
    if not counted:
        return _text(Packed(zeros, 0, []))
    keys = [key for key in counted if key is not None]
    first, last = min(keys), max(keys)
    return _text(Packed(zeros, first, [counted.get(key, 0) for key in range(first, last + 1)]))


def merge(packed: Iterable[str]) -> str:
    """The sketch of all values of these."""
    merged = _sketch("[0,0,[]]")
    for one in packed:
        merged.merge(_sketch(one))
    return _packed(merged)


def quantiles(packed: str, shares: Iterable[float]) -> list[float | None]:
    """For each share, from 0 to 1, about the value that so many are not greater than; None if there is no value."""
    sketch = _sketch(packed)
    return [sketch.get_quantile_value(share) for share in shares]


def _sketch(packed: str) -> Any:
    read = msgspec.json.decode(packed, type=Packed)
    sketch = DDSketch(ACCURACY)
    for key, count in enumerate(read.counts, read.first):
        if count:
            sketch._store.add(key, count)
    sketch._zero_count = read.zeros
    sketch._count = read.zeros + sum(read.counts)
    return sketch


def _packed(sketch: Any) -> str:
    store = sketch._store
    zeros = int(sketch._zero_count)
    if not store.count:
        return _text(Packed(zeros, 0, []))
    bins = store.bins[store.min_key - store.offset : store.max_key - store.offset + 1]
    return _text(Packed(zeros, int(store.min_key), [int(count) for count in bins]))


def _text(packed: Packed) -> str:
    return msgspec.json.encode(packed).decode()
