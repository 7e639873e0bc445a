"""`lamplighter work`: a worker for an app of yours."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import pkgutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from lamplighter.cli.extras import need
from lamplighter.cli.logging_options import Format, log_as
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, count, print_json, say
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError


def work(
    target: Annotated[str, typer.Argument(metavar="MODULE:APP", help="Where the app is, e.g. shop.jobs:app.")],
    *,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", "-c", metavar="N", min=1, max=10_000, help="How many jobs at once."),
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", "-q", metavar="QUEUE", help="Only this queue; may be repeated.")
    ] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End once nothing is due.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", metavar="PORT", min=0, max=65_535, help="Show metrics there; 0: any free port."),
    ] = None,
    metrics_host: Annotated[
        str | None,
        typer.Option("--metrics-host", metavar="HOST", help="At which address; by default 127.0.0.1."),
    ] = None,
    log_format: Format = None,
    json: Json = False,
) -> None:
    """Run the jobs of an app.

    SIGTERM or Ctrl-C ends it: it takes no more jobs and gives those that run their grace time to finish. A second one
    ends it at once.
    """
    flags = {"concurrency": concurrency, "queues": queue or None, "log_format": log_format}
    loaded = load(flags={**flags, "metrics_port": metrics_port, "metrics_host": metrics_host})
    log_as(loaded.settings, target)
    app = find_app(target)
    chosen = loaded.settings.queues if queue else None  # what no flag says, the app's own settings do
    host = app.settings.metrics_host if metrics_host is None else loaded.settings.metrics_host
    port = app.settings.metrics_port if metrics_port is None else metrics_port
    with _metrics_of(app, host, port, quiet=json):
        ended = run_async(_work(app, concurrency, chosen, until_idle=until_idle, quiet=json))
    if json:
        print_json(ended)
    else:
        say(
            f"Stopped: {count(ended['done'], 'job')} done, {ended['failed']:,} failed, "
            f"{ended['cancelled']:,} cancelled, {count(ended['retried'], 'attempt')} to be repeated."
        )


async def _work(
    app: Any, concurrency: int | None, queues: tuple[str, ...] | None, *, until_idle: bool, quiet: bool
) -> dict[str, int]:
    counts = {"done": 0, "failed": 0, "retried": 0, "cancelled": 0}

    def heard(event: Any) -> None:
        if event.kind in counts:
            counts[event.kind] += 1

    app.listen(heard)
    async with app, app.worker(concurrency=concurrency, queues=queues) as worker:
        with on_signals(worker.stop):
            if not quiet:
                served = ", ".join(app.settings.queues if queues is None else queues) or "all queues"
                at_once = concurrency or app.settings.concurrency
                say(f"Working on {app.store.url}: {at_once:,} at once, {served}. Ctrl-C drains and stops.")
            await (app.until_idle(worker) if until_idle else worker.stopped())
    return counts


@contextmanager
def _metrics_of(app: Any, host: str, port: int | None, *, quiet: bool) -> Iterator[None]:
    """Show them, if somebody said where."""
    if port is None:
        yield
        return
    need("metrics", "--metrics-port")
    from lamplighter.observe.exposing import exposed  # noqa: PLC0415 - optional

    with exposed(app.meter, host=host, port=port) as taken:
        if not quiet:
            say(f"Metrics are at http://{f'[{host}]' if ':' in host else host}:{taken}/metrics.")
        yield


@contextmanager
def on_signals(stop: Any) -> Iterator[None]:
    """Call `stop` at the first SIGTERM or Ctrl-C; the second is not caught, for whoever cannot wait."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def let_go() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def heard() -> None:
        let_go()
        stop()

    for number in numbers:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        let_go()


def find_app(target: str) -> Any:
    """The app at `module:name`.

    Raises:
        ConfigError: there is none.
    """
    from lamplighter.app import App  # noqa: PLC0415 - `--help` need not wait for it

    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise ConfigError(f"{target!r} is not MODULE:APP: write for example shop.jobs:app.")
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports
        raise ConfigError(f"there is no module {module_name!r} here: {_near_module(module_name, name)}") from error
    app = getattr(module, name, None)
    if not isinstance(app, App):
        near = [key for key, value in vars(module).items() if isinstance(value, App)]
        near = difflib.get_close_matches(name, near, n=1, cutoff=0) or near
        hint = f"did you mean {module_name}:{near[0]}?" if near else "make one there, `app = App()`."
        raise ConfigError(f"{module_name} has no app {name!r}: {hint}")
    return app


def _near_module(module: str, name: str) -> str:
    """What may have been meant: a file's name instead of a module's, or one beside it."""
    if module.endswith(".py"):
        return f"did you mean {module.removesuffix('.py').replace('/', '.')}:{name}?"
    parent, _, leaf = module.rpartition(".")
    beside = [found.name for found in pkgutil.iter_modules([parent.replace(".", "/") or "."])]
    near = difflib.get_close_matches(leaf, beside, n=1)
    found = f"{parent}.{near[0]}" if parent and near else "".join(near)
    return f"did you mean {found}:{name}?" if found else "run this in the folder that it can be imported from."
