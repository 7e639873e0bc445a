"""Run jobs one after the other, and side by side with one more at the end: `python examples/flows.py`."""

from __future__ import annotations

import asyncio

from lamplighter import App, Ctx, State, chain, group, never

app = App("memory://")


@app.job()
async def fetch(ctx: Ctx[None], page: int) -> str:
    return f"page {page}, read at attempt {ctx.attempt}"


@app.job()
async def parse(ctx: Ctx[None]) -> int:
    return sum([len(str(child.result)) async for child in ctx.children()])  # a chain: there is one, the job before


@app.job(retry=never)
def resize(ctx: Ctx[None], image: int) -> int:
    ctx.progress(0, of=1)
    if image == 2:
        raise ValueError("it is no image")
    return image * 10


@app.job()
async def report(ctx: Ctx[None]) -> str:
    ends = {child.place: child.result if child.state is State.DONE else child.reason async for child in ctx.children()}
    return ", ".join(f"{place}: {end}" for place, end in sorted(ends.items(), key=lambda end: end[0] or 0))


async def main() -> None:
    async with app, app.worker():
        sequence = await app.enqueue_flow(chain(fetch.draft(7), parse.draft()))
        print("letters:", await sequence.result(timeout=30))

        images = group([resize.draft(n) for n in range(4)], report.draft(), on_failure="continue")
        parallel = await app.enqueue_flow(images)
        print("images:", await parallel.result(timeout=30))
        print("children:", (await parallel.view()).children)

        strict = await app.enqueue_flow(group([resize.draft(2)], report.draft()))
        await strict.cancel(tree=True)
        print("cancelled or failed:", (await strict.view()).state in {State.CANCELLED, State.FAILED})


if __name__ == "__main__":
    asyncio.run(main())
