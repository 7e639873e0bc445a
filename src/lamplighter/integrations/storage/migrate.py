"""Bring the service's tables to the newest version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from lamplighter.core.errors import StoreDamaged
from lamplighter.integrations.storage import analytics_tables, audit_tables, file_tables, upkeep_tables
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import metadata

VERSION_TABLE = "lamp_alembic_version"
FOLDER = Path(__file__).parent / "migrations"

for _tables in (analytics_tables, audit_tables, file_tables, upkeep_tables):
    assert _tables.metadata is metadata, "each adds its tables to the same"


async def upgrade(database: Database) -> str:
    """Take the steps that the database lacks, all or none; returns the version it then has.

    Safe when several processes start at once: all but one of them wait before they read the version.
    Raises StoreDamaged for a database of a newer Lamplighter.
    """
    return await database.migrate(_upgrade)


async def current(database: Database) -> str | None:
    """The version of the tables; None if there are none yet."""
    return await database.read(_current)


def newest() -> str | None:
    """The version that this Lamplighter wants."""
    return ScriptDirectory(str(FOLDER)).get_current_head()


def steps() -> dict[str, str]:
    """The versions up to the newest, in order, each with the title of the step to it."""
    revisions = ScriptDirectory(str(FOLDER)).walk_revisions()
    return {script.revision: str(script.doc).rstrip(".") for script in reversed(list(revisions))}


def options() -> dict[str, Any]:
    """How Alembic is to look at a database that also holds tables of others."""
    return {"target_metadata": metadata, "version_table": VERSION_TABLE, "include_object": _is_ours}


def _is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:  # noqa: FBT001
    """A name that begins like ours may still be the job store's: only what the metadata knows is touched."""
    return kind != "table" or name in metadata.tables


def _upgrade(connection: Connection) -> str:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    if not connection.in_transaction():
        connection.begin()  # Alembic leaves a transaction alone only if it finds one
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreDamaged(
            f"the tables are of another version than this Lamplighter's ({error}): if a newer one made them, upgrade."
        ) from error
    version = _current(connection)
    assert version is not None, "there is at least one step"
    return version


def _current(connection: Connection) -> str | None:
    schema = (connection.get_execution_options().get("schema_translate_map") or {}).get(None)
    return MigrationContext.configure(
        connection, opts=options() | {"version_table_schema": schema}
    ).get_current_revision()
