"""`lamplighter integrations`: whose tokens are alive, refresh them by hand, and the keys they are encrypted with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, ago, fail, print_json, print_table, say
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.integrations.integration import Integration
    from lamplighter.integrations.outcome import Refreshed
    from lamplighter.integrations.reencrypt import Reencrypted
    from lamplighter.integrations.service import Service

T = TypeVar("T")

group = typer.Typer(help="See whose tokens are alive, refresh them by hand, rotate the keys they are encrypted with.")

STATUSES = ("pending", "active", "expired", "revoked", "error")


@group.command("list")
def list_integrations(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Only at this provider.")] = None,
    status: Annotated[str | None, typer.Option("--status", "-s", help=f"One of {', '.join(STATUSES)}.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str, typer.Option(help="Go on after the last id of the page before.")] = "",
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
            after=after,
        )

    found = _with_service(store, read)
    if json:
        next_ = found[-1].id if len(found) == limit else None
        print_json({"integrations": [msgspec.to_builtins(one) for one in found], "next": next_})
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
    print_table(columns, rows, empty="No integrations.")
    if len(found) == limit:
        say(f"There may be more: --after {found[-1].id}")


@group.command()
def refresh(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Which integrations.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Also if it is not due yet.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Refresh integrations here and now, under the same lock as any worker. Ends with 1 if one could not be."""
    from lamplighter.core.errors import LamplighterError  # noqa: PLC0415

    async def act(service: Service) -> dict[str, Refreshed | str]:
        answers: dict[str, Refreshed | str] = {}
        for id_ in ids:
            try:
                answers[id_] = await service.refresher.refresh(id_, force=force)
            except LamplighterError as error:
                answers[id_] = str(error)
        return answers

    answers = _with_service(store, act)
    refused = {id_: answer for id_, answer in answers.items() if isinstance(answer, str)}
    if json:
        print_json({"refreshed": [a for a in answers.values() if not isinstance(a, str)], "refused": refused})
    else:
        for id_, answer in answers.items():
            say(f"{id_}: {answer if isinstance(answer, str) else f'{answer.outcome}, next {ago(answer.refresh_at)}'}")
    if refused:
        raise typer.Exit(1)


@group.command("new-key")
def new_key(*, json: Json = False) -> None:
    """Make a key for tokens at rest. Put it first into `encryption_keys`, then run `reencrypt`."""
    from lamplighter.integrations.vault import new_key as make  # noqa: PLC0415 - optional, and slow to import

    key = make()
    if json:
        print_json({"key": key})
    else:
        say(key)


@group.command()
def reencrypt(*, store: StoreUrl = None, json: Json = False) -> None:
    """Encrypt every stored secret under the first key, beside running workers. Ends with 1 if one cannot be read."""

    async def act(service: Service) -> Reencrypted:
        from lamplighter.integrations.reencrypt import reencrypt as run  # noqa: PLC0415

        return await run(service.database, service.vault)

    done = _with_service(store, act)
    if json:
        print_json({"changed": done.changed, "unreadable": done.unreadable})
    else:
        say(f"{done.changed} values are under the first key now.")
    if done.unreadable:
        sentence = (
            f"{len(done.unreadable)} values cannot be read, e.g. {done.unreadable[0]}: add their key to the ring."
        )
        raise typer.Exit(fail(sentence, 1))


def _with_service(url: str | None, act: Callable[[Service], Awaitable[T]]) -> T:
    """What `act(service)` returns, with the database that the flag or the settings name."""
    try:
        from lamplighter.integrations.service import NoPlanner, open_service  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigError(f"integrations need {error.name}: install lamplighter[integrations].") from error
    settings = load(flags={"store": url}).settings

    async def run() -> T:
        async with open_service(settings, NoPlanner()) as service:
            return await act(service)

    return run_async(run())
