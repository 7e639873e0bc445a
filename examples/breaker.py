"""An outage spends the attempts of a few jobs only; the others wait it out: `python examples/breaker.py`."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from lamplighter import App, Breaker, Ctx, Event, fixed

logging.getLogger("lamplighter").setLevel(logging.ERROR)  # a worker logs what we print ourselves
app = App("memory://")
app.limit("provider", breaker=Breaker(at_least=5, open_for=timedelta(seconds=0.5)))
down = {"dropbox"}


@app.job(limits=["provider:{provider}"], retry=fixed(0.1, attempts=10))
async def call(ctx: Ctx[None], provider: str, number: int) -> str:
    if provider in down:
        raise ConnectionError("no answer")
    return f"answer {number} of {provider}, at attempt {ctx.attempt}"


def tell(event: Event) -> None:
    if event.key:
        print(event.kind.replace("_", " "), "for", event.key)
        if event.kind == "breaker_opened":
            down.discard("dropbox")  # the provider is back before anyone tries again


async def main() -> None:
    app.listen(tell)
    async with app, app.worker(concurrency=5):
        dropbox = await app.enqueue(call.draft("dropbox", number) for number in range(100))
        google = await app.enqueue(call.draft("google", number) for number in range(100))
        for handle in google:
            await handle.result(timeout=30)
        print("google did not notice")
        for handle in dropbox:
            await handle.result(timeout=30)
        views = [await handle.view() for handle in dropbox]
        tried = sum(view.failures > 0 for view in views)
        print("all 100 of dropbox are done;", "few" if tried <= 20 else "many", "of them had failed before")


if __name__ == "__main__":
    asyncio.run(main())
