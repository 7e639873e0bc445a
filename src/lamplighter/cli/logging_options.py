"""How a command that runs on shows its log lines."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from lamplighter.core.config import LogFormat, Settings
from lamplighter.observe.log import set_up_logging

Format = Annotated[
    str | None,
    typer.Option(
        "--log-format",
        metavar="|".join(get_args(LogFormat)),
        help="Log lines as JSON or as text; by default (auto) text in a terminal, else JSON.",
    ),
]


def log_as(settings: Settings, target: str) -> None:
    """Show log lines as the settings say: those of the application, too."""
    package = target.partition(":")[0].partition(".")[0]
    set_up_logging(settings.log_level, settings.log_format, (package,))
