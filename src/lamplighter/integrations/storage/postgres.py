"""The service's tables in a schema of a PostgreSQL database: each work is a transaction on one of a few connections.

Works stay functions on a synchronous connection: SQLAlchemy runs them over asyncpg in a greenlet of the loop. Nothing
is kept in a session (no search_path, no prepared statement across transactions where there is a pooler), so a PgBouncer
in transaction mode may stand in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Connection, NullPool, event, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.integrations.storage.database import Work
from lamplighter.store.per_loop import PerLoop
from lamplighter.store.postgres.url import Place, parse

T = TypeVar("T")

IN_EACH_OTHERS_WAY = ("40001", "40P01")  # serialization failure, deadlock
TRIES = 3  # of a work that was in another's way, or met a connection that had died in the pool
_IN_WORK = "lamplighter_in_work"
_ADDRESS = ("host", "port", "database", "dbname", "service")  # what of a URL's options says where it is


class _Engines(NamedTuple):
    """Two ways to use one pool of connections."""

    write: AsyncEngine
    read: AsyncEngine


class PostgresSide:
    """One schema of a database, with connections of its own for each event loop."""

    def __init__(self, url: str) -> None:
        _refuse_without_driver()
        self._place = parse(url)
        self._engines = PerLoop(self._open_engines)
        self._writing: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return self._place.shown

    @property
    def place(self) -> str:
        parts = urlsplit(self._place.dsn)
        options = [f"{name}={value}" for name, value in parse_qsl(parts.query) if name in _ADDRESS]
        return "/".join([parts.netloc.rpartition("@")[2], parts.path.strip("/"), *options, self._place.schema])

    async def open(self) -> None:
        await self.read(lambda connection: connection.exec_driver_sql("SELECT 1"))

    async def close(self) -> None:
        here = asyncio.get_running_loop()
        if writing := [task for task in self._writing if task.get_loop() is here]:
            await asyncio.wait(writing)
        await self._engines.close()

    async def write(self, work: Work[T]) -> T:
        task = asyncio.create_task(self._tried("write", work))
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    async def read(self, work: Work[T]) -> T:
        return await self._tried("read", work)

    async def migrate(self, work: Work[T]) -> T:
        """Safe when several processes start at once: a lock of the transaction keeps all but one of them waiting."""
        schema = self._place.schema

        def alone(connection: Connection) -> T:
            name = {"schema": schema}
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('lamplighter'), hashtext(:schema))"), name)
            if not connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), name):
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")  # which needs a right of its own
            connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
            connection.dialect.default_schema_name = schema  # or what reflects tables would look elsewhere
            return work(connection)

        engine = _engine(self._place, poolclass=NullPool, patience=None)
        try:
            return await self._explained(engine, alone)
        finally:
            await engine.dispose()

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # seen, if nobody waits any more

    async def _tried(self, access: str, work: Work[T]) -> T:
        for _ in range(TRIES - 1):
            try:
                return await self._explained(await self._engine_for(access), work)
            except StoreUnavailable as error:
                if not _is_worth_another_try(error.__cause__):
                    raise
        return await self._explained(await self._engine_for(access), work)

    async def _engine_for(self, access: str) -> AsyncEngine:
        engines = await self._engines.here()
        return engines.read if access == "read" else engines.write

    async def _explained(self, engine: AsyncEngine, work: Work[T]) -> T:
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(_guarded, work)
        except Exception as error:
            explained = _explain(error, self._place.shown)
            if explained is None:
                raise
            raise explained from error

    @asynccontextmanager
    async def _open_engines(self) -> AsyncIterator[_Engines]:
        place = self._place
        options = {"pool_size": place.connections, "max_overflow": 0, "pool_timeout": place.patience}
        engine = _engine(place, patience=place.patience, **options)
        engine = engine.execution_options(schema_translate_map={None: place.schema})
        try:
            yield _Engines(
                engine, engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            )
        finally:
            await engine.dispose()


def _engine(place: Place, *, patience: float | None, **options: Any) -> AsyncEngine:
    pooled = place.pooler == "transaction"

    async def connect() -> Any:
        import asyncpg  # noqa: PLC0415 - optional

        return await asyncpg.connect(
            place.dsn,
            timeout=place.patience,
            command_timeout=patience,
            statement_cache_size=0 if pooled else 100,
            server_settings={"application_name": "lamplighter"},
        )

    def adapted() -> Any:
        size = 0 if pooled else 100  # SQLAlchemy's own cache of prepared statements
        return dialect.loaded_dbapi.connect(async_creator_fn=connect, prepared_statement_cache_size=size)

    # hide_parameters, because SQLAlchemy would write them into its errors, and those end in logs
    engine = create_async_engine("postgresql+asyncpg://", creator=adapted, hide_parameters=True, **options)
    dialect: Any = engine.dialect
    event.listen(engine.sync_engine, "commit", _refuse_in_work)
    event.listen(engine.sync_engine, "rollback", _refuse_in_work)
    return engine


def _guarded(connection: Connection, work: Work[T]) -> T:
    connection.info[_IN_WORK] = True
    try:
        return work(connection)
    finally:
        if not connection.invalidated:
            connection.info.pop(_IN_WORK, None)


def _refuse_in_work(connection: Connection) -> None:
    """As on SQLite, where a work has neighbours: what is tested there must hold here."""
    if not connection.invalidated and connection.info.get(_IN_WORK):
        connection.invalidate()  # or the pool, which takes the transaction for ended, would give it to the next work
        raise InvalidRequestError("a work shares its transaction with others: return to commit, raise to roll back.")


def _explain(error: Exception, shown: str) -> Exception | None:
    """The error as one sentence that says what to do; None if it is not the database's, or the work's own."""
    from lamplighter.store.postgres.errors import explanation  # noqa: PLC0415 - its driver is optional

    if isinstance(error, NoneFree):
        return StoreUnavailable(
            f"the database {shown} has all our connections in use: wait, or raise `connections` in the URL."
        )
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
    return explanation(cause or error, shown)


def _is_worth_another_try(error: BaseException | None) -> bool:
    """It was rolled back for certain: two were in each other's way, or the connection broke before the commit."""
    if not isinstance(error, DBAPIError):
        return False
    in_the_way = getattr(error.orig, "sqlstate", None) in IN_EACH_OTHERS_WAY
    return in_the_way or (error.connection_invalidated and error.statement is not None)


def _refuse_without_driver() -> None:
    if not (find_spec("asyncpg") and find_spec("greenlet")):  # SQLAlchemy needs the latter to be asynchronous
        raise ConfigError("PostgreSQL needs a driver: install lamplighter[postgres].")
