"""The HTTP API and the dashboard in a FastAPI app, with a worker beside them: `uvicorn dashboard_in_a_web_app:web`.

The dashboard is at /admin/queues; `client.mjs` enqueues by the API, from Node.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from lamplighter import App, Ctx
from lamplighter.web import Caller, Role, dashboard, http_api

app = App("sqlite:///shop.db")


@app.job(queue="reports", timeout=60)
async def count_words(ctx: Ctx[None], text: str) -> dict[str, int]:
    ctx.progress(1, of=1)
    return {"words": len(text.split())}


async def identify(request: Request) -> Caller | None:
    """Yours: look at a session or a token. This one knows one key, and lets everybody look."""
    sent, key = request.headers.get("Authorization", ""), os.environ.get("SHOP_KEY", "")
    if key and hmac.compare_digest(sent.encode(), f"Bearer {key}".encode()):
        return Caller(user_id="shop", role=Role.OPERATOR)
    return Caller(user_id="visitor", role=Role.VIEWER)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with app, app.worker():
        yield


web = FastAPI(lifespan=lifespan)
web.mount("/admin/queues", dashboard(app, identify=identify))
web.mount("/lamplighter", http_api(app, identify=identify))
