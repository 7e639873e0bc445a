"""The service's tables in an empty database: once by the migrations, then by the statements that these made.

Alembic takes ten times as long to find them as the database to do them, and most tests begin with an empty database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect

from lamplighter.integrations.storage import migrate

Statement = tuple[str, Any]


class Remembered:
    """What the migrations say, by the kind of database."""

    def __init__(self, upgrade: Callable[[Connection], str]) -> None:
        self._upgrade = upgrade
        self._said: dict[str, tuple[list[Statement], str]] = {}

    def __call__(self, connection: Connection) -> str:
        if inspect(connection).has_table(migrate.VERSION_TABLE):
            return self._upgrade(connection)
        said = self._said.get(connection.dialect.name)
        if said is None:
            with _heard(connection) as statements:
                version = self._upgrade(connection)
            self._said[connection.dialect.name] = (statements, version)
            return version
        statements, version = said
        for statement, parameters in statements:
            connection.exec_driver_sql(statement, parameters)
        return version


@contextmanager
def _heard(connection: Connection) -> Iterator[list[Statement]]:
    """Statements that change something, as the database gets them."""
    statements: list[Statement] = []

    def hear(_connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lstrip().startswith(("SELECT", "PRAGMA")):
            statements.append((statement, parameters or None))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield statements
    finally:
        event.remove(connection, "before_cursor_execute", hear)


@pytest.fixture(autouse=True, scope="session")
def remembered_tables() -> Iterator[None]:
    """Every test of the run, but for what runs in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "_upgrade", Remembered(migrate._upgrade))
        yield
