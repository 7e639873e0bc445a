"""Define a job, enqueue it, wait for its result: `python examples/hello.py`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from lamplighter import App, Ctx, exponential

app = App("sqlite:///hello.db")


@app.job(queue="mail", retry=exponential(first=5, attempts=3))
async def greet(ctx: Ctx[None], name: str, *, loudly: bool = False) -> str:
    greeting = f"Good evening, {name}"
    return greeting.upper() if loudly else f"{greeting} (attempt {ctx.attempt})"


app.cron("0 7 * * 1-5", greet.draft("early birds"), tz="Europe/Berlin")


async def main() -> None:
    async with app, app.worker(concurrency=10):
        handle = await greet.enqueue("Ada")
        print(await handle.result(timeout=10))
        await app.enqueue(greet.draft(name, loudly=True) for name in ("Bea", "Cem"))
        await greet.using(delay=timedelta(minutes=5), unique=True).enqueue("whoever waits")


if __name__ == "__main__":
    asyncio.run(main())
