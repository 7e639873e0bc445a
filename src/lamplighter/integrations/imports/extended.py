"""MongoDB's Extended JSON (version 2, canonical and relaxed) as plain values.

Source: "MongoDB Extended JSON (v2)" in MongoDB's manual. What no integration holds (binary data, code, regular
expressions) stays as it is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from lamplighter.core.clock import EPOCH
from lamplighter.integrations.imports.fault import BadRecord

DEEPEST = 20  # values within values

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_WHOLE = re.compile(r"-?\d{1,19}")


def plain(value: Any, *, depth: int = 0) -> Any:
    """The value with every ObjectId as its hexadecimal text, dates as moments, numbers as numbers. Raises BadRecord."""
    if depth > DEEPEST:
        raise BadRecord(f"it holds values within values, deeper than {DEEPEST}: take out what is no integration's.")
    if isinstance(value, list):
        return [plain(one, depth=depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(kind, inner)] = value.items()
        if kind in _KINDS:
            return _read(kind, inner)
    return {name: plain(one, depth=depth + 1) for name, one in value.items()}


def _read(kind: str, inner: Any) -> Any:
    try:
        return _KINDS[kind](inner)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise BadRecord(f"it holds a {kind} that is none: export it again.") from None


def _object_id(inner: Any) -> str:
    if not _OBJECT_ID.fullmatch(inner):
        raise ValueError
    return str(inner).lower()


def _date(inner: Any) -> datetime:
    if isinstance(inner, str):
        found = datetime.fromisoformat(inner)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    milliseconds = _whole(inner["$numberLong"]) if isinstance(inner, dict) else inner
    if isinstance(milliseconds, bool):
        raise TypeError
    return EPOCH + timedelta(milliseconds=milliseconds)


def _whole(inner: Any) -> int:
    if not _WHOLE.fullmatch(inner):
        raise ValueError
    return int(inner)


def _real(inner: Any) -> float | None:
    number = float(inner)
    return number if math.isfinite(number) else None  # NaN is no JSON: PostgreSQL would not take it


_KINDS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "$oid": _object_id,
        "$date": _date,
        "$numberInt": _whole,
        "$numberLong": _whole,
        "$numberDouble": _real,
        "$numberDecimal": _real,
    }
)
