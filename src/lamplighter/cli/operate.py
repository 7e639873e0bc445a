"""`lamplighter integrations check`, `disconnect` and `audit`: look after single integrations, and see who did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import msgspec
import typer

from lamplighter.cli.integrations import NO_SUCH, with_family, with_service
from lamplighter.cli.output import Json, StoreUrl, ago, next_of, print_json, print_table, say, say_more
from lamplighter.cli.which import Before
from lamplighter.core.errors import LamplighterError, StoreError

if TYPE_CHECKING:
    from lamplighter.families.tokens import TokenFamily
    from lamplighter.integrations.audit import Record
    from lamplighter.integrations.integration import Integration
    from lamplighter.integrations.service import Service

Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Which integrations.")]
Act: TypeAlias = "Callable[[TokenFamily, Integration], Awaitable[str]]"
PAST = timedelta(days=30)


class _Told(NamedTuple):
    """What came of it, as a person is told."""

    is_done: bool
    text: str


def check(ids: Ids, *, store: StoreUrl = None, json: Json = False) -> None:
    """Ask providers here and now whether tokens work.

    One that does not is refreshed by the next worker, before all others. Ends with 1 if one could not be checked.
    """

    async def act(family: TokenFamily, known: Integration) -> str:
        from lamplighter.families.health import check_now  # noqa: PLC0415 - optional

        async with family.service.audit.noting("integration.check", known.resource):
            health = await check_now(family, known.id)
        past = await family.service.healths.history(known.id, PAST)
        return health if past.uptime is None else f"{health}; up {past.uptime:.2%} of the last {PAST.days} days"

    _each(ids, act, store, json=json)


def disconnect(ids: Ids, *, store: StoreUrl = None, json: Json = False) -> None:
    """Give tokens back to their providers, and delete them.

    Their owners can connect again. Ends with 1 if one could not be disconnected.
    """

    async def act(family: TokenFamily, known: Integration) -> str:
        async with family.service.audit.noting("integration.disconnect", known.resource):
            done = await family.service.disconnecting.disconnect(known.id)
        kept = f"; the provider may honour its tokens until they expire: {done.not_revoked}" if done.not_revoked else ""
        return f"disconnected{kept}"

    _each(ids, act, store, json=json)


def audit(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Only of this tenant.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    before: Before = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List who did what, the latest first."""

    async def read(service: Service) -> list[Record]:
        return await service.audit.page(tenant_ids=None if tenant is None else [tenant], limit=limit, before=before)

    found = with_service(store, read)
    if json:
        print_json({"records": [msgspec.to_builtins(one) for one in found], "next": next_of(found, limit)})
        return
    columns = ("when", "who", "action", "what", "tenant", "result")
    rows = [
        (
            ago(one.at),
            one.user_id,
            one.action,
            f"{one.resource_type} {one.resource_id}",
            one.tenant_id,
            one.error_message or one.result,
        )
        for one in found
    ]
    print_table(columns, rows, empty="No records.")
    say_more(found, limit, "--before")


def _each(ids: list[str], act: Act, store: str | None, *, json: bool) -> None:
    """Do that to each, and tell what came of it; a refusal of one is not in the way of the others."""

    async def every(family: TokenFamily) -> dict[str, _Told]:
        return {id_: await _one(family, id_, act) for id_ in ids}

    answers = with_family(store, every)
    if json:
        print_json({"done": _texts(answers, is_done=True), "refused": _texts(answers, is_done=False)})
    else:
        for id_, told in answers.items():
            say(f"{id_}: {told.text}")
    if not all(told.is_done for told in answers.values()):
        raise typer.Exit(1)


def _texts(answers: dict[str, _Told], *, is_done: bool) -> dict[str, str]:
    return {id_: told.text for id_, told in answers.items() if told.is_done is is_done}


async def _one(family: TokenFamily, id_: str, act: Act) -> _Told:
    known = await family.service.integrations.get(id_)
    if known is None:
        return _Told(is_done=False, text=NO_SUCH)
    try:
        return _Told(is_done=True, text=await act(family, known))
    except StoreError:
        raise
    except LamplighterError as error:
        return _Told(is_done=False, text=str(error))
