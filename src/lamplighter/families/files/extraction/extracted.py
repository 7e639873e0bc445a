"""What was found out about a file, and how that fails."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from lamplighter.core.errors import LamplighterError


class Extracted(Struct, frozen=True, kw_only=True):
    """What a file is and says. `text` is cut where the limits say, and then `is_cut`. `details` are those that have no
    field of their own: short texts, numbers and truth values by name, such as an image's width; `damaged` among them
    says why there is no more, of a file that breaks off after something could be read.
    """

    mime_type: str
    text: str = ""
    is_cut: bool = False
    title: str | None = None
    author: str | None = None
    language: str | None = None  # ISO 639-1
    pages: int | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None
    details: Mapping[str, str | int | float | bool] = {}


class ExtractionFailed(LamplighterError):
    """This file cannot be read, and trying again will not change that; its text says why, in one sentence."""


class ExtractorDown(LamplighterError):
    """No process that reads files could be started here: that is nothing about the file, which may be tried again."""
