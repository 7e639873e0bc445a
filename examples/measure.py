"""Orders are counted in their own transactions, by the days of a tenant's own clock: `python measure.py`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.families.analytics.analytics import Happened
from lamplighter.families.analytics.family import AnalyticsFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.measuring.metric import Metric, declare
from lamplighter.integrations.tenants import Tenant

ORDERS = declare(Metric("shop.orders", "count", "Orders placed"))
BASKET = declare(Metric("shop.basket", "values", "What a basket came to", "crowns"))


async def main() -> None:
    """Three orders around midnight, one of them told twice, and what they come to by days."""
    with tempfile.TemporaryDirectory() as home:
        app = App(settings=Settings(store=f"sqlite:///{home}/jobs.db"))
        tokens = TokenFamily(app)
        analytics = AnalyticsFamily(app, tokens)
        async with app:
            bakery = Tenant(id="bakery", name="Bakery", owner_id="ada", time_zone="Asia/Kolkata")
            await tokens.service.tenants.add([bakery])
            await analytics.roll_up()  # a worker does this every half minute
            midnight = (datetime.now(UTC) - timedelta(days=2)).replace(hour=18, minute=30, second=0, microsecond=0)
            for order, minutes, crowns in ((1, -5, 40), (2, 5, 60), (3, 6, 80), (3, 6, 80)):
                at = midnight + timedelta(minutes=minutes)
                await tokens.service.database.write(_placing(analytics, f"order-{order}", crowns, at))
            await analytics.roll_up()
            since = midnight - timedelta(days=2)
            orders = await analytics.reading.series(ORDERS, "bakery", "day", since, datetime.now(UTC))
            for day in orders.windows:
                print(f"{day.local[10:]} orders: {day.figures['total']:.0f}")
            month = await analytics.reading.series(BASKET, "*", "day", since, datetime.now(UTC))
            print(f"baskets of all: {sum(one.figures['count'] or 0 for one in month.windows):.0f}")


def _placing(analytics: AnalyticsFamily, order: str, crowns: float, at: datetime) -> Callable[[Connection], None]:
    """What stores an order, and measures it in the same transaction."""

    def place(connection: Connection) -> None:
        # ... here the order is stored, on this connection
        happened = [Happened(metric, "bakery", value, at, order) for metric, value in _figures(crowns)]
        analytics.measures.add_within(connection, happened)

    return place


def _figures(crowns: float) -> tuple[tuple[str, float], ...]:
    return (ORDERS.name, 1), (BASKET.name, crowns)


if __name__ == "__main__":
    asyncio.run(main())
