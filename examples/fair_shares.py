"""One tenant's flood does not delay another's only job: `python examples/fair_shares.py`."""

from __future__ import annotations

import asyncio

from lamplighter import App, Ctx

app = App("memory://")
order: list[str] = []


@app.job()
async def index(ctx: Ctx[None], file: int) -> str:
    order.append(ctx.tenant or "nobody")
    return f"file {file} is indexed"


async def main() -> None:
    async with app:
        await app.weigh("globex", 2)
        for tenant, files in (("acme", 1000), ("globex", 1000), ("initech", 1)):
            await app.enqueue(index.using(tenant=tenant).draft(file) for file in range(files))
        async with app.worker(concurrency=10) as worker:
            await app.until_idle(worker)
    print("the first ten:", " ".join(order[:10]))
    print("initech's only job came as number", order.index("initech") + 1)
    both = order[: order.index("acme") + 900]
    print(f"globex, of weight 2, had {both.count('globex') / both.count('acme'):.1f} times the turns of acme")


if __name__ == "__main__":
    asyncio.run(main())
