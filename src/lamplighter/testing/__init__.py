"""What ships for tests: of a store, and of an application's own jobs.

To test jobs of your own, call their functions with a `Ctx`, or run what was enqueued, here and now:

    clock = FakeClock()
    app = App("memory://", clock=clock)
    ...
    async with app:
        await remind.using(delay=3600).enqueue("u-1")
        clock.advance(3600)
        await app.work(until_idle=True)
"""

from __future__ import annotations

from lamplighter.testing.clock import FakeClock

__all__ = ["FakeClock"]
