"""The scripts of `lua/`, by name. Each heads with a comment: what it does, KEYS, ARGV, and what it returns."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

INCLUDE = "-- include "


class Script(NamedTuple):
    """A script and the hash by which a server that has seen it knows it."""

    name: str
    source: bytes
    sha: bytes


@cache
def script(name: str) -> Script:
    """The script of a file. A line `-- include _part` stands for what is in `_part.lua`.

    Redis 6.2 knows no functions that scripts could share, and scripts cannot load one another. To make the functions of
    a part takes microseconds in each call of a script: a part that most calls can do without is included in a block.
    """
    source = "".join(_lines(name)).encode()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(f"lua/{name}.lua").read_text(encoding="utf-8")
    return [
        part
        for line in text.splitlines(keepends=True)
        for part in (_lines(line.strip().removeprefix(INCLUDE)) if line.lstrip().startswith(INCLUDE) else [line])
    ]
