"""What a `sqlite:` URL says."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from lamplighter.core.errors import ConfigError

SYNCHRONOUS = ("full", "normal", "extra", "off")
LONGEST_PATIENCE = 3600  # seconds
FORM = "write sqlite:///relative.db or sqlite:////absolute/path.db"


class Place(NamedTuple):
    """A file and how to use it; `SqliteStore` says what the options mean."""

    path: Path
    synchronous: str = "full"
    patience: float = 10


def parse(url: str) -> Place:
    """Read `sqlite:///relative.db` or `sqlite:////absolute.db`, with `?synchronous=` and `&patience=`.

    Raises:
        ConfigError: the URL names no file, or an option that there is not.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _refuse_unknown(options)
    return Place(_path(url), _synchronous(options.get("synchronous", "full")), _patience(options.get("patience", "10")))


def show(path: Path) -> str:
    """The URL of a file."""
    return f"sqlite:///{quote(str(path))}"


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigError(f"the store URL has a host in it, or a slash too few: {FORM}.")
    path = unquote(parts.path).removeprefix("/")
    if not url.lower().startswith("sqlite:///") or not path:
        raise ConfigError(f"the store URL names no file: {FORM}.")
    if path == ":memory:":
        raise ConfigError("sqlite has no jobs in memory: use memory:// instead, or name a file.")
    if parts.fragment:
        raise ConfigError(f"the store URL has a # in it: write %23 if the file {path} has it in its name.")
    if "\0" in path:
        raise ConfigError(f"the file of the store URL has %00 in its name: {FORM}.")
    return Path(path)


def _refuse_unknown(options: dict[str, str]) -> None:
    known = [name for name in Place._fields if name != "path"]
    for name in options.keys() - set(known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {' and '.join(known)}."
        raise ConfigError(f"the store URL has an unknown option {name!r}: {hint}")


def _synchronous(text: str) -> str:
    if text.lower() not in SYNCHRONOUS:
        raise ConfigError(f"synchronous={text} in the store URL is not one of {', '.join(SYNCHRONOUS)}.")
    return text.lower()


def _patience(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= LONGEST_PATIENCE:  # false for nan too
        raise ConfigError(f"patience={text} in the store URL is not a number of seconds from 0 to {LONGEST_PATIENCE}.")
    return seconds
