"""`lamplighter alerts`: what is bad now, by which rules; silence it; see that operators can be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from lamplighter.cli.extras import need
from lamplighter.cli.integrations import as_operator, with_service
from lamplighter.cli.noting import noting
from lamplighter.cli.opened import run_async, with_store
from lamplighter.cli.output import Json, StoreUrl, ago, end_by_id, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.core.config import load
from lamplighter.core.duration import format_duration, parse_duration
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.families.alerting.board import Board
    from lamplighter.families.alerting.course import Alert
    from lamplighter.families.alerting.post import Tried
    from lamplighter.families.alerting.silence import Silence
    from lamplighter.integrations.service import Service
    from lamplighter.store.base import Store

T = TypeVar("T")

COMMON = ("name", "severity", "enabled", "lasts", "only", "without")

group = typer.Typer(cls=Noun, help="See what operators are alerted of; silence and test it.")


@group.command("list")
def list_alerts(*, store: StoreUrl = None, json: Json = False) -> None:
    """List what is bad now, what was resolved within a day, and silences.

    Ends with 1 if a critical alert fires that is not silenced.
    """
    from lamplighter.families.alerting.silence import is_silenced  # noqa: PLC0415 - optional, and slow to import

    async def read(board: Board) -> tuple[list[Alert], list[Silence]]:
        return await board.alerts(), await board.silences()

    alerts, silences = _with_board(store, read)
    now = utcnow()
    shown = [(one, is_silenced(one, silences, now)) for one in alerts]
    if json:
        told = [msgspec.to_builtins(one) | {"silenced": silenced} for one, silenced in shown]
        print_json({"alerts": told, "silences": [msgspec.to_builtins(one) for one in silences]})
    else:
        rows = [
            (one.rule, one.state, one.severity, one.subject, ago(one.since), silenced, one.says)
            for one, silenced in shown
        ]
        columns = ("alert", "state", "severity", "of", "since", "silenced", "what")
        print_table(columns, rows, empty="Nothing is bad, as far as anybody has looked.")
        for silence in silences:
            say(f"Silence {silence.id}: {silence.rule} of {silence.subject}, {ago(silence.until)}: {silence.reason}")
    if any(one.state == "firing" and one.severity == "critical" and not silenced for one, silenced in shown):
        raise typer.Exit(1)


@group.command()
def rules(*, json: Json = False) -> None:
    """Show the rules in force: those that ship, changed by the file that `alerts_rules` names."""
    need("integrations", "lamplighter alerts")
    from lamplighter.families.alerting.rules import rules_in_force, runbook_of  # noqa: PLC0415 - as above

    settings = load().settings
    found = rules_in_force(settings)
    if json:
        told = [msgspec.to_builtins(one) | {"runbook": runbook_of(one.name, settings)} for one in found]
        print_json({"rules": told})
        return
    rows = [
        (
            one.name,
            one.severity if one.enabled else "off",
            str(one.__struct_config__.tag),
            _condition(one),
            format_duration(one.lasts),
            _which(one.only, one.without),
        )
        for one in found
    ]
    print_table(("rule", "severity", "kind", "bad if", "for", "of"), rows, empty="There are no rules.")


@group.command()
def silence(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Of which rule; a pattern such as 'late*' will do.")],
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Of which queue, schedule or provider; by default all.")
    ] = "*",
    *,
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="For how long, such as 2h; at most 30d.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever finds it.")],
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Tell nobody of these alerts for a while. What still fires when that is over is told then."""
    from lamplighter.integrations.audit import actor  # noqa: PLC0415 - optional

    async def act(board: Board) -> Silence:
        async with noting(load(flags={"store": store}).settings, "alert.silence", rule):
            return await board.silence(rule, subject, _lasting(lasting), reason=reason, user_id=actor().user_id)

    made = _with_board(store, act)
    if json:
        print_json({"silence": msgspec.to_builtins(made)})
    else:
        say(f"{made.id}: nobody is told of {made.rule} of {made.subject} until {made.until:%Y-%m-%d %H:%M} UTC.")


@group.command()
def unsilence(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Which silences.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """End silences: what still fires is told. Ends with 1 if one is not there."""

    async def act(board: Board) -> list[str]:
        ended = [id_ for id_ in ids if await board.unsilence(id_)]
        for id_ in ended:
            async with noting(load(flags={"store": store}).settings, "alert.unsilence", id_):
                pass
        return ended

    end_by_id(ids, _with_board(store, act), done="ended", noun="silence", json=json)


@group.command("test")
def try_channels(*, store: StoreUrl = None, json: Json = False) -> None:
    """Send every operators' recipient a test message, and say what came of each.

    Ends with 1 if one failed, or if there is nobody to be told.
    """
    settings = load(flags={"store": store}).settings

    async def act(service: Service) -> list[Tried]:
        from lamplighter.families.alerting.post import Post  # noqa: PLC0415 - optional
        from lamplighter.families.alerting.rules import runbook_of  # noqa: PLC0415
        from lamplighter.integrations.notices.senders import open_senders  # noqa: PLC0415

        async with open_senders(settings, utcnow) as senders:
            post = Post(
                service.database,
                service.vault,
                senders,
                runbook=lambda name: runbook_of(name, settings),
                clock=utcnow,
            )
            return await post.test()

    tried = with_service(store, act)
    if json:
        print_json({"tried": [one._asdict() for one in tried]})
    else:
        for one in tried:
            say(f"{one.recipient_id}: {one.channel}: {one.failure or 'sent.'}")
        if not tried:
            say("Nobody is told of alerts: add one with `lamplighter integrations recipients add email ADDRESS`.")
    if not tried or any(one.failure for one in tried):
        raise typer.Exit(1)


def _with_board(url: str | None, act: Callable[[Board], Awaitable[T]]) -> T:
    """What `act(board)` returns, with the board in the tables if there are any, and else in the store."""
    need("integrations", "lamplighter alerts")
    from lamplighter.families.alerting.board import RecordBoard  # noqa: PLC0415 - optional, and slow to import
    from lamplighter.families.alerting.table_board import TableBoard  # noqa: PLC0415

    async def on_tables(service: Service) -> T:
        return await act(TableBoard(service.database, clock=utcnow))

    async def on_records(store: Store) -> T:
        with as_operator():
            return await act(RecordBoard(store, clock=utcnow))

    return with_service(url, on_tables) if _has_tables(url) else with_store(url, on_records)


def _has_tables(url: str | None) -> bool:
    from lamplighter.integrations.service import database_url  # noqa: PLC0415 - optional
    from lamplighter.integrations.storage.database import Database  # noqa: PLC0415
    from lamplighter.integrations.storage.migrate import current  # noqa: PLC0415

    try:
        database = Database(database_url(load(flags={"store": url}).settings))
    except ConfigError:  # jobs can be where no tables can
        return False
    if database.path is not None and not database.path.exists():
        return False

    async def look() -> bool:
        async with database:
            return await current(database) is not None

    return run_async(look())


def _lasting(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise ConfigError(f"--for is {text!r:.60}: give a time such as 2h.") from None


def _condition(rule: Any) -> str:
    said = {name: getattr(rule, name) for name in rule.__struct_fields__ if name not in COMMON}
    return ", ".join(f"{name} {_shown(value)}" for name, value in sorted(said.items()))


def _shown(value: object) -> str:
    return format_duration(value) if isinstance(value, timedelta) else f"{value:g}"


def _which(only: tuple[str, ...], without: tuple[str, ...]) -> str:
    excluded = f"not {', '.join(without)}" if without else ""
    return " but ".join(filter(None, (", ".join(only) or ("all" if not without else ""), excluded)))
