"""`lamplighter work`: a worker for an app of yours."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, print_json, say
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.observe.log import set_up_logging


def work(
    target: Annotated[str, typer.Argument(metavar="MODULE:APP", help="Where the app is, e.g. shop.jobs:app.")],
    *,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, max=10_000, help="How many jobs at once.")
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", "-q", help="Only these queues; may be repeated.")
    ] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End once nothing is due.")] = False,
    json: Json = False,
) -> None:
    """Run the jobs of an app until SIGTERM or Ctrl-C, which lets running jobs finish first."""
    settings = load(flags={"concurrency": concurrency, "queues": queue or None}).settings
    set_up_logging(settings.log_level)
    app = find_app(target)
    ended = run_async(_work(app, settings.concurrency, settings.queues, until_idle=until_idle))
    if json:
        print_json(ended)
    else:
        say(f"Stopped after {ended['done']} jobs done, {ended['failed']} failed.")


async def _work(app: Any, concurrency: int, queues: tuple[str, ...], *, until_idle: bool) -> dict[str, int]:
    counts = {"done": 0, "failed": 0, "retried": 0, "cancelled": 0}

    def count(event: Any) -> None:
        if event.kind in counts:
            counts[event.kind] += 1

    app.listen(count)
    async with app, app.worker(concurrency=concurrency, queues=queues) as worker:
        with on_signals(worker.stop):
            await (app.until_idle(worker) if until_idle else worker.stopped())
    return counts


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
        raise ConfigError(f"there is no module {module_name!r} here: run this where it can be imported.") from error
    app = getattr(module, name, None)
    if not isinstance(app, App):
        near = [key for key, value in vars(module).items() if isinstance(value, App)]
        near = difflib.get_close_matches(name, near, n=1, cutoff=0) or near
        hint = f"did you mean {module_name}:{near[0]}?" if near else "make one: app = App()."
        raise ConfigError(f"{module_name} has no app {name!r}: {hint}")
    return app
