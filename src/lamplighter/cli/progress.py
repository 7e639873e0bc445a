"""Progress bars on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

Step = Callable[[str, float, float], None]
"""What is under way, how much of it is done, and how much there is."""


def bars() -> Progress:
    """Where bars are shown, as long as it is entered."""
    from rich.console import Console  # noqa: PLC0415 - `--help` need not wait for these
    from rich.progress import Progress  # noqa: PLC0415

    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


@contextmanager
def progress() -> Iterator[Step]:
    """Show how far the block has come, as it tells."""
    with bars() as shown:
        task = shown.add_task("starting", total=None)

        def step(what: str, done: float, total: float) -> None:
            shown.update(task, description=what, completed=min(done, total), total=total)

        yield step
