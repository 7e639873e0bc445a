"""What a bench wrote, read again."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from lamplighter.core.errors import LamplighterError

R = TypeVar("R")


def read(path: Path, results: type[R]) -> R:
    """What an earlier run wrote.

    Raises:
        LamplighterError: there is none, or it is not what this version writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=results)
    except FileNotFoundError:
        raise LamplighterError(f"there is no {path}: measure first.") from None
    except msgspec.DecodeError as error:
        raise LamplighterError(f"{path} cannot be read ({error}): measure again.") from None
