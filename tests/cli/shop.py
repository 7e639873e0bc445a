"""An app as somebody would write it: the tests import it, and copy it into folders where `lamplighter work` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from lamplighter import App, Ctx, never

GATE = "gate"  # a FIFO: who reads from it waits until somebody writes


class Shop(NamedTuple):
    app: App[None]
    greet: Any
    charge: Any
    wait: Any


def make(url: str) -> Shop:
    app = App(url)

    @app.job("greet")
    async def greet(ctx: Ctx[None], name: str) -> str:
        ctx.log.info("greeted", name=name)
        return f"Good evening, {name}"

    @app.job("charge", queue="money", retry=never)
    async def charge(ctx: Ctx[None], card: str) -> None:
        raise ValueError("the café's card is declined")

    @app.job("wait", queue="slow")
    def wait(ctx: Ctx[None]) -> str:
        print("a job has begun", flush=True)
        return Path(GATE).read_text()

    app.cron("0 7 29 2 *", greet.draft("early birds"), tz="Europe/Berlin", name="leap days")
    return Shop(app, greet, charge, wait)


app = make("sqlite:///shop.db").app
