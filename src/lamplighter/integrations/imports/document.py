"""A JSON document, from one piece of a file."""

from __future__ import annotations

from typing import Any

import msgspec

from lamplighter.integrations.imports.fault import BadRecord
from lamplighter.integrations.imports.source import Piece


def document(piece: Piece) -> dict[str, Any]:
    """The object that a piece holds. Raises BadRecord."""
    try:
        value = msgspec.json.decode(piece.text())
    except RecursionError:
        raise BadRecord("it holds values within values without end: take out what is no integration's.") from None
    except ValueError:  # its text would say where in the line, which is of no use without the line
        raise BadRecord("it is no JSON: write one document a line, or an array of them.") from None
    if not isinstance(value, dict):
        raise BadRecord("it is no object: write an integration as {...}.")
    return value
