"""Keep duplicates out, and put off what is asked for again and again: `python examples/unique.py`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from lamplighter import App, Ctx

app = App("memory://")


@app.job(unique="save:{note}", when_held="debounce", delay=0.5, debounce_for=timedelta(seconds=5))
async def save(ctx: Ctx[None], note: int, text: str) -> str:
    return f"note {note} is saved at attempt {ctx.attempt}: {text}"


@app.job(unique="digest:{user}", unique_for=timedelta(hours=1))
async def send_digest(ctx: Ctx[None], user: int) -> str:
    return f"user {user} has a digest, under {ctx.idempotency_key}"


async def main() -> None:
    async with app, app.worker():
        for text in ("Lamps", "Lamps are", "Lamps are lit."):
            handle = await save.enqueue(7, text)
            print("added" if handle.created else "replaced" if handle.replaced else "kept")
        print(await handle.result(timeout=30))

        first = await send_digest.enqueue(1)
        print(await first.result(timeout=30))
        again = await send_digest.enqueue(1)
        print("again" if again.created else "not again within the hour")


if __name__ == "__main__":
    asyncio.run(main())
