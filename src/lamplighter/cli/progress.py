"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[str, float, float], None]
"""What is under way, how much of it is done, and how much there is."""


@contextmanager
def progress() -> Iterator[Step]:
    """Show how far the block has come, as it tells."""
    from rich.console import Console  # noqa: PLC0415 - `--help` need not wait for these
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("starting", total=None)

        def step(what: str, done: float, total: float) -> None:
            bars.update(task, description=what, completed=min(done, total), total=total)

        yield step
