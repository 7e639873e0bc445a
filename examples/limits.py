"""Slots and a pace for each provider, over all workers: `python examples/limits.py`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import timedelta

from lamplighter import App, Ctx, Rate, Snooze

app = App("memory://")
app.limit("provider", running=3)
app.limit("pace", rate=Rate(20, per=1, burst=5))

running: Counter[str] = Counter()
most: Counter[str] = Counter()
calls: Counter[str] = Counter()


@app.job(limits=["provider:{provider}", "pace:{provider}"])
async def call(ctx: Ctx[None], provider: str, number: int) -> str:
    calls[provider] += 1
    first = calls[provider] == 1
    running[provider] += 1
    most[provider] = max(most[provider], running[provider])
    await asyncio.sleep(0.01)
    running[provider] -= 1
    if provider == "box" and first:  # it answers 429, with Retry-After: 1
        ctx.penalize("pace:box", 1)
        raise Snooze(timedelta(seconds=1), "asked to wait")
    return f"answer {number} of {provider}"


async def main() -> None:
    began = time.monotonic()
    async with app, app.worker(), app.worker():
        google = await app.enqueue(call.draft("google", number) for number in range(20))
        box = await app.enqueue(call.draft("box", number) for number in range(2))
        for handle in google:
            await handle.result(timeout=30)
        print(f"at most {most['google']} of google at once")
        print("20 calls at 20 a second, 5 of them together:", "in time" if time.monotonic() - began < 10 else "late")
        for handle in box:
            await handle.result(timeout=30)
        print("box, which asked for a second:", "left alone" if time.monotonic() - began > 1 else "bothered")


if __name__ == "__main__":
    asyncio.run(main())
