"""A queue that refuses what does not fit, and one that drops the oldest: `python examples/full_queue.py`."""

from __future__ import annotations

import asyncio

from lamplighter import App, Ctx, QueueFull

app = App("memory://")
app.queue("imports", most_waiting_per_tenant=3)
app.queue("views", most_waiting=2, when_full="drop-oldest")


@app.job(queue="imports", tenant="acme")
async def read(ctx: Ctx[None], file: int) -> None: ...


@app.job(queue="views")
async def draw(ctx: Ctx[None], frame: int) -> str:
    return f"frame {frame}, drawn at attempt {ctx.attempt}"


async def main() -> None:
    async with app:
        await app.enqueue(read.draft(file) for file in range(3))
        try:
            await read.enqueue(3)
        except QueueFull as full:
            print(full)

        frames = [await draw.enqueue(frame) for frame in range(4)]
        for handle in frames:
            view = await handle.view()
            print(view.state, "-", view.reason or "waits")


if __name__ == "__main__":
    asyncio.run(main())
