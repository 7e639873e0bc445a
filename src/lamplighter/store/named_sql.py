"""The statements of `.sql` files, by name."""

from __future__ import annotations

from importlib.resources import files


def load(package: str, file: str = "queries.sql") -> dict[str, str]:
    """Each `-- :name sentence` starts a statement that goes on to the next."""
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in text.split("-- :")[1:]:
        heading, _, statement = block.partition("\n")
        found[heading.split(maxsplit=1)[0]] = statement.strip().rstrip(";")
    return found
