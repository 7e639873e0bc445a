"""`lamplighter keys`: who may call the HTTP API by a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lamplighter.cli.extras import need
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.core.setting import span

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from lamplighter.web.roles import Role
    from lamplighter.web.signin.keys import Key, Keys

LIFE = span("1m", "3650d")

T = TypeVar("T")

group = typer.Typer(cls=Noun, help="Make and revoke the keys by which programs call the HTTP API.")


@group.command("list")
def list_keys(*, store: StoreUrl = None, json: Json = False) -> None:
    """List keys, with when each was last used. The keys themselves are kept nowhere."""
    found = _with_keys(store, lambda keys: keys.all())
    if json:
        print_json({"keys": [_plain(key) | {"used_at": used} for key, used in found]})
        return
    columns = ("id", "name", "role", "tenants", "reads tokens", "created", "used", "state")
    print_table(columns, [_row(key, used) for key, used in found], empty="There are no keys.")


@group.command()
def create(
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What it is for.")],
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="What it may do: superadmin, operator, viewer or tenant.")
    ],
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", metavar="TENANT", help="For whom, as a tenant; may be repeated.")
    ] = None,
    read_tokens: Annotated[
        bool, typer.Option("--read-tokens", help="Let it have access tokens, of those it acts for.")
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="When it ends, e.g. 90d from now; else never."),
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Make a key, and show it this once."""
    chosen, life = _role(role), _life(expires)
    made = _with_keys(
        store,
        lambda keys: keys.make(name, chosen, tenants=tenant or (), may_read_tokens=read_tokens, life=life),
    )
    if json:
        print_json(_plain(made.key) | {"key": made.text.reveal()})
    else:
        say(f"{made.text.reveal()}\n")
        say("Keep it safe: it is not shown again. Programs send it as `Authorization: Bearer lamp_...`.")


@group.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Which key, as listed.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Let nobody in with a key any more; servers that run notice within five seconds."""
    revoked = _with_keys(store, lambda keys: keys.revoke(id_))
    if json:
        print_json(_plain(revoked))
    else:
        say(f"Key {revoked.id} ({revoked.name}) is revoked.")


def _with_keys(url: str | None, act: Callable[[Keys], Awaitable[T]]) -> T:
    need("web", "lamplighter keys")
    from lamplighter.web.signin.keys import Keys  # noqa: PLC0415 - optional, and slow to import

    return with_store(url, lambda store: act(Keys(store, clock=utcnow)))


def _role(name: str) -> Role:
    need("web", "lamplighter keys")
    from lamplighter.web.roles import Role  # noqa: PLC0415 - optional

    try:
        return Role(name)
    except ValueError:
        raise ConfigError(f"there is no role {name!r:.40}: give one of {', '.join(Role)}.") from None


def _life(written: str | None) -> timedelta | None:
    if written is None:
        return None
    try:
        return LIFE.read(written)  # type: ignore[return-value]  # a span reads durations
    except ValueError:
        raise ConfigError(f"--expires is {written!r:.40}: give {LIFE.accepts}.") from None


def _plain(key: Key) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - `--help` need not wait for it

    kept = ("id", "name", "role", "tenants", "may_read_tokens", "created_at", "expires_at", "revoked_at")
    plain = msgspec.to_builtins(key)
    return {field: plain[field] for field in kept}


def _row(key: Key, used: datetime | None) -> tuple[object, ...]:
    reads = "yes" if key.may_read_tokens else None
    return key.id, key.name, key.role, ", ".join(key.tenants), reads, ago(key.created_at), ago(used), _state(key)


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {ago(key.revoked_at)}"
    if key.expires_at is None:
        return "good"
    return f"{'expires' if key.is_live(utcnow()) else 'expired'} {ago(key.expires_at)}"
