"""A worker beside the requests of an ASGI app, and a job for each request: `uvicorn in_a_web_app:web`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lamplighter import App, Ctx

app = App("sqlite:///web.db")


@app.job(timeout=60)
def measure(ctx: Ctx[None], text: str) -> int:  # not `async`: it runs in a thread, and blocks nobody
    ctx.progress(0, of=len(text))
    return len(text)


async def post(request: Request) -> JSONResponse:
    body = (await request.body()).decode()
    handle = await measure.enqueue(body)
    return JSONResponse({"job": handle.id, "length": await handle.result(timeout=10)})


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with app, app.worker(concurrency=20):
        yield


web = Starlette(routes=[Route("/measure", post, methods=["POST"])], lifespan=lifespan)
