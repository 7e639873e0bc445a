"""`lamplighter config`: what is in force, and where it came from."""

from __future__ import annotations

import platform
from importlib.metadata import version

from lamplighter.cli.output import Json, print_json, print_lines, print_table
from lamplighter.core.config import load


def config(*, json: Json = False) -> None:
    """Show every setting, and where it came from. Secrets stay hidden."""
    rows = load().describe()
    if json:
        print_json({row.key: {"value": row.value, "source": row.source} for row in rows})
    else:
        print_table(("setting", "value", "from"), rows, empty="")


def show_version(*, json: Json = False) -> None:
    """Show which Lamplighter this is, and what it runs on."""
    import sqlite3  # noqa: PLC0415 - only here

    told = {
        "lamplighter": version("lamplighter"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    if json:
        print_json(told)
    else:
        print_lines(told.items())
