"""`lamplighter web`: the HTTP API of an app of yours, and the pages for people, for those who embed neither."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from lamplighter.cli.extras import need
from lamplighter.cli.logging_options import Format, log_as
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, print_json, say
from lamplighter.cli.work import find_app, on_signals
from lamplighter.core.config import load


def web(
    target: Annotated[str, typer.Argument(metavar="MODULE:APP", help="Where the app is, e.g. shop.jobs:app.")],
    *,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="The address to listen on, by default 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=0, max=65_535, help="By default 8100; 0: any free one.")
    ] = None,
    log_format: Format = None,
    json: Json = False,
) -> None:
    """Serve the HTTP API of an app, and the pages for people.

    It says by which link somebody can sign in once, within ten minutes. SIGTERM or Ctrl-C ends it: requests under way
    have five seconds. For other machines it listens only if somebody can sign in: by key, password or identity
    provider.
    """
    need("web", "lamplighter web")
    loaded = load(flags={"web_host": host, "web_port": port, "log_format": log_format})
    log_as(loaded.settings, target)
    app = find_app(target)
    host = app.settings.web_host if host is None else loaded.settings.web_host
    port = app.settings.web_port if port is None else port
    run_async(_serve(app, host, port, as_json=json))


async def _serve(app: Any, host: str, port: int, *, as_json: bool) -> None:
    from lamplighter.web.serve import serving  # noqa: PLC0415 - optional, and slow to import

    told = asyncio.Event()
    with on_signals(told.set):
        async with app, serving(app, host=host, port=port) as site:
            _tell(app, site, as_json=as_json)
            await told.wait()


def _tell(app: Any, site: Any, *, as_json: bool) -> None:
    link = site.login_link and site.login_link.reveal()
    if as_json:
        print_json({"host": site.host, "port": site.port, "login_link": link})
        return
    say(f"Serving {app.store.url} on {site.host} port {site.port}. Ctrl-C stops.")
    if link:
        say(f"Sign in, once and within ten minutes: {link}")
    else:
        say("Set web_url to where browsers find this server, and people can sign in.")
