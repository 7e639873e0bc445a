"""`lamplighter admin`: how the admin comes in."""

from __future__ import annotations

import sys

import typer

from lamplighter.cli.extras import need
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, print_json, say
from lamplighter.cli.program import Group
from lamplighter.core.clock import utcnow
from lamplighter.core.secret import Secret
from lamplighter.store.base import Store

group = typer.Typer(cls=Group, help="Set the password by which the admin signs in to the pages.")


@group.callback()
def admin() -> None:
    """A group, though it has one command."""


@group.command("set-password")
def set_password(*, store: StoreUrl = None, json: Json = False) -> None:
    """Set the admin's password, and sign everybody out.

    It is asked for, or read from stdin: no command line should hold it.
    """
    need("web", "lamplighter admin")
    password = _asked()
    with_store(store, lambda opened: _set(opened, password))
    if json:
        print_json({"set": True})
    else:
        say("The password is set, and everybody is signed out.")


async def _set(store: Store, password: Secret) -> None:
    from lamplighter.web.signin.password import AdminPassword  # noqa: PLC0415 - optional, and slow to import
    from lamplighter.web.signin.sessions import Sessions  # noqa: PLC0415

    await AdminPassword(store, clock=utcnow).set(password)
    await Sessions(store, clock=utcnow, secure=True).end_all()


def _asked() -> Secret:
    if sys.stdin.isatty():
        return Secret(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return Secret(sys.stdin.readline().rstrip("\r\n"))
