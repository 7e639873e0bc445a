"""`lamplighter audit hold`, `holds`, `release` and `retention`: how long records are kept, and what must not go."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.audit import SHARED
from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, ago, end_by_id, print_json, print_table, say
from lamplighter.core.config import load
from lamplighter.core.duration import format_duration, parse_duration
from lamplighter.core.errors import ConfigError, LamplighterError

if TYPE_CHECKING:
    from lamplighter.integrations.auditing.holds import Hold
    from lamplighter.integrations.auditing.rules import KeptRule
    from lamplighter.integrations.service import Service

NEVER = "never"

Tenant = Annotated[
    str,
    typer.Option(
        "--tenant", "-t", metavar="TENANT", help=f"Of which tenant; {SHARED}: of no single one; by default all."
    ),
]
Action = Annotated[
    str,
    typer.Option("--action", "-a", metavar="ACTION", help="Such as queue.pause, or 'integration.*'; by default all."),
]


class NoSuchRule(LamplighterError):
    """There is no rule of that tenant and action."""


def hold(
    *,
    tenant: Tenant = "*",
    action: Action = "*",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever finds it.")],
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Have records not destroyed, whatever their age, until the hold is released."""

    async def place(service: Service) -> Hold:
        from lamplighter.integrations.auditing.holds import Holds  # noqa: PLC0415 - optional

        return await Holds(service.database).place(_scope(tenant), action, reason=reason)

    placed = with_service(store, place)
    if json:
        print_json({"hold": msgspec.to_builtins(placed)})
    else:
        say(f"{placed.id}: {placed.action} of {_named(placed.tenant)} is not destroyed until this is released.")


def holds(
    *,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were released.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List holds, the newest first."""

    async def read(service: Service) -> list[Hold]:
        from lamplighter.integrations.auditing.holds import MOST, Holds  # noqa: PLC0415 - optional

        return await Holds(service.database).page(released=all_, limit=5 * MOST)

    found = with_service(store, read)
    if json:
        print_json({"holds": [msgspec.to_builtins(one) for one in found]})
        return
    columns = ("id", "tenant", "action", "since", "by", "reason", "released", "by whom")
    rows = [
        (
            one.id,
            _named(one.tenant),
            one.action,
            ago(one.created_at),
            one.user_id,
            one.reason,
            one.released_at and ago(one.released_at),
            one.released_by,
        )
        for one in found
    ]
    print_table(columns, rows, empty="Nothing is held.")


def release(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Which holds.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Release holds: what they covered is destroyed when its time is over. Ends with 1 if one is not there."""

    async def act(service: Service) -> list[str]:
        from lamplighter.integrations.auditing.holds import Holds  # noqa: PLC0415 - optional

        keeper = Holds(service.database)
        return [id_ for id_ in ids if await keeper.release(id_)]

    end_by_id(ids, with_service(store, act), done="released", noun="hold", json=json)


def retention(
    *,
    tenant: Tenant = "*",
    action: Action = "*",
    archive: Annotated[
        str | None, typer.Option("--archive", metavar="TIME", help="Archive after that, such as 30d; or never.")
    ] = None,
    destroy: Annotated[
        str | None, typer.Option("--destroy", metavar="TIME", help="Destroy after that, such as 400d; or never.")
    ] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Take the rule of that tenant and action away.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show how long records are kept; with --archive and --destroy, set it for a tenant and actions.

    The most precise rule counts: of a tenant before of all, of one action before of several.
    """
    if unset:
        _unset(store, _scope(tenant), action, json=json)
    elif archive is not None and destroy is not None:
        _set(store, _scope(tenant), action, _span(archive), _span(destroy), json=json)
    elif archive is not None or destroy is not None:
        raise ConfigError("a rule says both: give --archive and --destroy, each a time such as 30d, or never.")
    else:
        _show(store, json=json)


def _show(store: str | None, *, json: bool) -> None:
    async def read(service: Service) -> list[KeptRule]:
        from lamplighter.integrations.auditing.rules import Rules  # noqa: PLC0415 - optional

        return await Rules(service.database).all()

    found = with_service(store, read)
    settings = load(flags={"store": store}).settings
    spans = {"archive_after": settings.audit_archive_after, "destroy_after": settings.keep_audit}
    if json:
        told = {name: span.total_seconds() for name, span in spans.items()}
        print_json({"rules": [_told(one) for one in found], "otherwise": told})
        return
    rows: list[tuple[str, ...]] = [
        (_named(one.tenant), one.action, _shown(one.archive_after), _shown(one.destroy_after), one.user_id)
        for one in found
    ]
    rows.append(("all", "otherwise", *map(_shown, spans.values()), "the settings"))
    print_table(("tenant", "action", "archive after", "destroy after", "by"), rows, empty="")


def _set(
    store: str | None, tenant: str, action: str, archive: timedelta | None, destroy: timedelta | None, *, json: bool
) -> None:
    async def act(service: Service) -> KeptRule:
        from lamplighter.integrations.auditing.policy import Rule  # noqa: PLC0415 - optional
        from lamplighter.integrations.auditing.rules import Rules  # noqa: PLC0415 - optional

        rule = Rule(tenant=tenant, action=action, archive_after=archive, destroy_after=destroy)
        return await Rules(service.database).set(rule)

    made = with_service(store, act)
    if json:
        print_json({"rule": _told(made)})
    else:
        say(
            f"{made.action} of {_named(made.tenant)}: archive after {_shown(made.archive_after)}, destroy after "
            f"{_shown(made.destroy_after)}."
        )


def _unset(store: str | None, tenant: str, action: str, *, json: bool) -> None:
    async def act(service: Service) -> bool:
        from lamplighter.integrations.auditing.rules import Rules  # noqa: PLC0415 - optional

        return await Rules(service.database).unset(tenant, action)

    if not with_service(store, act):
        raise NoSuchRule(
            "there is no rule of that tenant and action: `lamplighter audit retention` lists those there are."
        )
    if json:
        print_json({"unset": True})
    else:
        say("It is gone: other rules count now.")


def _told(rule: KeptRule) -> dict[str, object]:
    seconds = {name: span and span.total_seconds() for name, span in _spans(rule).items()}
    return {"tenant": rule.tenant, "action": rule.action, **seconds, "user_id": rule.user_id}


def _spans(rule: KeptRule) -> dict[str, timedelta | None]:
    return {"archive_after": rule.archive_after, "destroy_after": rule.destroy_after}


def _scope(tenant: str) -> str:
    return "" if tenant == SHARED else tenant


def _named(tenant: str) -> str:
    return {"*": "all tenants", "": "no single tenant"}.get(tenant, tenant)


def _shown(span: timedelta | None) -> str:
    return NEVER if span is None else format_duration(span)


def _span(written: str) -> timedelta | None:
    if written == NEVER:
        return None
    try:
        return parse_duration(written)
    except ValueError:
        raise ConfigError(f"{written!r:.60} is no time: give one such as 30d, or never.") from None
