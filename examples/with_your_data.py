"""A job that exists exactly if the order does: both are in one transaction of SQLAlchemy."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import create_engine, text

from lamplighter import App, Ctx

FILE = Path("orders.db")

app = App(f"sqlite:///{FILE}")
engine = create_engine(f"sqlite:///{FILE}")


@app.job(unique="confirm:{order}")
async def confirm(ctx: Ctx[None], order: int) -> str:
    return f"order {order} is confirmed, under {ctx.idempotency_key}"


async def main() -> None:
    async with app:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, what TEXT)"))
        with engine.begin() as connection:
            order = connection.execute(text("INSERT INTO orders (what) VALUES ('a lamp') RETURNING id")).scalar_one()
            [handle] = app.enqueue_within(connection, [confirm.draft(order)])
        engine.dispose()
        async with app.worker():
            print(await handle.result(timeout=10))


if __name__ == "__main__":
    asyncio.run(main())
