"""Tracebacks for people: each line by what it is, so that the eye finds the frames that are the application's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Part = Literal["head", "frame", "library", "code", "marks", "error"]

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_LIBRARIES = ("site-packages", "dist-packages", "/lib/python", "<frozen", "/lamplighter/engine/")
_MARKS = re.compile(r"^\s*[\^~ ]+$")


class Line(NamedTuple):
    """One line. `library`: a frame that is not the application's own, with the code that follows it."""

    part: Part
    text: str


def read_traceback(text: str) -> list[Line]:
    """Its lines."""
    return list(_lines(text))


def last_frame(text: str) -> str:
    """Where it was raised, without the number of the line, which a release moves; empty if that cannot be seen."""
    for line in reversed(text.splitlines()):
        if found := _FRAME.match(line):
            file = "/".join(found["file"].split("/")[-2:])
            return f"{file} in {found['function'] or '?'}"
    return ""


def _lines(text: str) -> Iterator[Line]:
    own = True
    for line in text.rstrip().splitlines():
        if _FRAME.match(line):
            own = not any(library in line for library in _LIBRARIES)
            yield Line("frame" if own else "library", line)
        elif line.startswith("    ") and _MARKS.match(line):
            yield Line("marks", line)
        elif line.startswith("    "):
            yield Line("code" if own else "library", line)
        elif not line or line.startswith(("Traceback", "The above", "During handling")):
            yield Line("head", line)
        else:
            yield Line("error", line)
