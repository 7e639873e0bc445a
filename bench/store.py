"""The store that a bench of reads is run on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamplighter.testing.servers import private_postgres

HELP = "a URL of an empty one, or postgresql for a server of its own; by default a SQLite file, deleted afterwards"


@contextmanager
def store_of(told: str | None) -> Iterator[str]:
    """The URL of what `--store` says, for as long as the block lasts."""
    if told == "postgresql":
        with private_postgres() as server:
            yield server.url
        return
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:  # /tmp may be memory
        yield told or f"sqlite:///{folder}/jobs.db"
