"""Ask why a job does not run, and what to do about it: `python examples/why_it_waits.py`."""

from __future__ import annotations

import asyncio

from lamplighter import App, Ctx

app = App("memory://")


@app.job(queue="mail")
async def greet(ctx: Ctx[None], name: str) -> str:
    return f"Good evening, {name} (attempt {ctx.attempt})"


async def main() -> None:
    async with app:
        handle = await greet.enqueue("Ada")
        await app.pause("mail")
        for blocker in await handle.why():
            print(f"{blocker.kind}: {blocker.says}")
        await app.resume("mail")
        async with app.worker():
            print(await handle.result(timeout=10))


if __name__ == "__main__":
    asyncio.run(main())
