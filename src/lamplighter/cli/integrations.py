"""`lamplighter integrations`: whose tokens are alive, refresh them by hand, and the keys they are encrypted with."""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from lamplighter.cli.extras import need
from lamplighter.cli.opened import file_must_exist, must_exist, run_async
from lamplighter.cli.output import Json, StoreUrl, ago, count, next_of, print_json, print_table, say, say_more
from lamplighter.cli.program import Noun
from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError, LamplighterError, StoreError
from lamplighter.observe.log import set_up_logging

if TYPE_CHECKING:
    from lamplighter.app import App
    from lamplighter.families.tokens import TokenFamily
    from lamplighter.integrations.integration import Integration
    from lamplighter.integrations.reencrypt import Reencrypted
    from lamplighter.integrations.refreshing.outcome import Refreshed
    from lamplighter.integrations.service import Service

T = TypeVar("T")

group = typer.Typer(cls=Noun, help="See whose tokens are alive; refresh them, rotate their keys.")

NO_SUCH = "there is no such integration: `lamplighter integrations list` shows those there are."
STATUSES = ("pending", "active", "expired", "revoked", "error")


@group.command("list")
def list_integrations(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Only of this tenant.")] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", "-p", metavar="PROVIDER", help="Only at this provider.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", "-s", metavar="STATUS", help=f"Only if {', '.join(STATUSES)}."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after the last id of the page before.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List integrations, by id."""
    if status is not None and status not in STATUSES:
        raise ConfigError(f"there is no status {status!r}: give one of {', '.join(STATUSES)}.")

    async def read(service: Service) -> list[Integration]:
        return await service.integrations.page(
            tenant_id=tenant,
            provider_slug=provider,
            status=status,  # type: ignore[arg-type]  # checked above
            limit=limit,
            after=after or "",
        )

    found = with_service(store, read)
    if json:
        print_json({"integrations": [msgspec.to_builtins(one) for one in found], "next": next_of(found, limit)})
        return
    columns = ("id", "tenant", "provider", "status", "expires", "next refresh", "last outcome", "reason")
    rows = [
        (
            one.id,
            one.tenant_id,
            one.provider_slug,
            one.status,
            ago(one.expires_at),
            ago(one.refresh_at),
            one.last_outcome,
            one.status_reason,
        )
        for one in found
    ]
    print_table(columns, rows, empty="No such integrations." if tenant or provider or status else "No integrations.")
    say_more(found, limit, "--after")


@group.command()
def refresh(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Which integrations.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Also if it is not due yet.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Refresh integrations here and now.

    It takes the same lock as any worker. Ends with 1 if one could not be refreshed.
    """

    async def act(family: TokenFamily) -> dict[str, Refreshed | str]:
        return {id_: await _refresh(family, id_, force=force) for id_ in ids}

    answers = with_family(store, act)
    refused = {id_: answer for id_, answer in answers.items() if isinstance(answer, str)}
    if json:
        refreshed = [msgspec.to_builtins(a) for a in answers.values() if not isinstance(a, str)]
        print_json({"refreshed": refreshed, "refused": refused})
    else:
        for id_, answer in answers.items():
            say(f"{id_}: {answer if isinstance(answer, str) else _told(answer)}")
    if refused:
        raise typer.Exit(1)


@group.command("new-key")
def new_key(*, json: Json = False) -> None:
    """Make a key for tokens at rest.

    Put it first into `encryption_keys`, restart the workers, then run `reencrypt`.
    """
    need("integrations", "lamplighter integrations")
    from lamplighter.integrations.vault import new_key as make  # noqa: PLC0415 - optional, and slow to import

    key = make()
    if json:
        print_json({"key": key})
    else:
        say(key)


@group.command()
def reencrypt(*, store: StoreUrl = None, json: Json = False) -> None:
    """Encrypt every stored secret under the first key.

    Workers may go on meanwhile. Ends with 1 if one cannot be read: then keep the old keys.
    """

    async def act(service: Service) -> Reencrypted:
        from lamplighter.integrations.reencrypt import reencrypt as run  # noqa: PLC0415

        return await run(service.database, service.vault)

    done = with_service(store, act)
    if json:
        print_json({"changed": done.changed, "unreadable": done.unreadable})
    else:
        say(f"{count(done.changed, 'value')} encrypted anew; all that can be read is under the first key now.")
        for where in done.unreadable:
            say(f"{where} cannot be read: add the key it is under to encryption_keys.")
    if done.unreadable:
        raise typer.Exit(1)


async def _refresh(family: TokenFamily, id_: str, *, force: bool) -> Refreshed | str:
    known = await family.service.integrations.get(id_)
    if known is None:
        return NO_SUCH
    try:
        async with family.service.audit.noting("integration.refresh", known.resource):
            return await family.refresh_now(id_, force=force)
    except StoreError:
        raise
    except LamplighterError as error:
        return str(error)


def _told(refreshed: Refreshed) -> str:
    outcome = "not due yet (--force refreshes all the same)" if refreshed.outcome == "fresh" else refreshed.outcome
    return f"{outcome}, next {ago(refreshed.refresh_at)}"


def with_family(
    url: str | None,
    act: Callable[[TokenFamily], Awaitable[T]],
    *,
    beside: Callable[[App[Any], TokenFamily], None] = lambda _app, _family: None,
) -> T:
    """What `act(family)` returns, with the jobs and the database that the flag or the settings name. `beside`: declares
    another family too."""
    settings = _looked_at(url)
    from lamplighter.integrations.service import database_url  # noqa: PLC0415 - optional

    if settings.store != database_url(settings):
        must_exist(settings.store)
    from lamplighter.app import App  # noqa: PLC0415 - slow to import
    from lamplighter.families.tokens import TokenFamily  # noqa: PLC0415 - optional, and slow to import

    async def run() -> T:
        app = App(settings=settings)
        family = TokenFamily(app)
        beside(app, family)
        async with app:
            with as_operator():
                return await act(family)

    return run_async(run())


def with_service(url: str | None, act: Callable[[Service], Awaitable[T]]) -> T:
    """What `act(service)` returns, with the database that the flag or the settings name."""
    settings = _looked_at(url)
    from lamplighter.integrations.refreshing.planner import NoPlanner  # noqa: PLC0415 - optional
    from lamplighter.integrations.service import open_service  # noqa: PLC0415 - optional

    async def run() -> T:
        async with open_service(settings, NoPlanner()) as service:
            with as_operator():
                return await act(service)

    return run_async(run())


@contextmanager
def as_operator() -> Iterator[None]:
    """What is done inside, the audit log puts down to the person at this command line."""
    from lamplighter.integrations.audit import Actor, acting  # noqa: PLC0415 - optional

    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container may know no names
        name = str(os.getuid())
    with acting(Actor(user_id=f"operator:{name}", method="CLI")):
        yield


def _looked_at(url: str | None) -> Settings:
    """The settings in force, if what they name is there."""
    need("integrations", "lamplighter integrations")
    from lamplighter.integrations.service import database_url  # noqa: PLC0415 - optional

    settings = load(flags={"store": url}).settings
    file_must_exist(database_url(settings))
    set_up_logging("error", settings.log_format)  # what it would warn of is in the answer
    return settings
