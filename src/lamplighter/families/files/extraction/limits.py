"""How much the reading of one file may cost."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from lamplighter.core.config import Settings

LONGEST_LINE = 500  # characters of a title, an author, a detail, a reason
_MEGABYTE = 1024 * 1024


class Limits(Struct, frozen=True, kw_only=True):
    """Of each file: `seconds` by the clock, characters of text, `most_details`, and bytes, of the file itself and of
    what is unpacked from it. A text is read up to there; other files that are larger are not read. `memory_mb` is the
    address space of a process, which is replaced after `files_per_process`. `gps`: whether places of photos are told.
    """

    seconds: Annotated[float, Meta(gt=0)] = 30
    memory_mb: Annotated[int, Meta(ge=256)] = 512
    text_chars: Annotated[int, Meta(ge=0, le=10_000_000)] = 200_000
    most_details: Annotated[int, Meta(ge=0, le=1000)] = 50
    file_bytes: Annotated[int, Meta(gt=0)] = 100 * _MEGABYTE
    unpacked_bytes: Annotated[int, Meta(gt=0)] = 100 * _MEGABYTE
    files_per_process: Annotated[int, Meta(gt=0)] = 500
    gps: bool = False

    @property
    def answer_bytes(self) -> int:
        """No answer that keeps to the limits is longer."""
        return 4 * (self.text_chars + LONGEST_LINE * (2 * self.most_details + 10))


def limits_from(settings: Settings) -> Limits:
    """Those that an operator sets."""
    return Limits(
        seconds=settings.files_timeout.total_seconds(),
        memory_mb=settings.files_memory_mb,
        text_chars=settings.files_text,
        gps=settings.files_gps == "on",
    )
