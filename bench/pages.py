"""How long the pages of the dashboard take with very many jobs in a store.

.venv/bin/python -m bench.pages --jobs 200000 --store postgresql
"""

from __future__ import annotations

import argparse
import asyncio
import time
from statistics import median

import httpx2
from bench.filled_app import filled_app, viewer
from bench.filling import fill
from bench.store import HELP, store_of
from fastapi import FastAPI

from lamplighter.web import dashboard

PAGES = (
    "/",
    "/queues",
    "/queues/queue-3",
    "/jobs",
    "/jobs?state=failed",
    "/jobs?state=queued",
    "/jobs?tenant=tenant-7",
    "/jobs?name=work",
    "/jobs?args=nowhere",
    "/jobs?args=nowhere&state=failed",
    "/failures",
    "/tenants",
    "/workers",
    "/limits",
)
ROUNDS = 7


async def _measure(store: str, jobs: int) -> None:
    app, work = filled_app(store)
    pages = dashboard(app, identify=viewer)
    async with app:
        await fill(app, work, jobs)
        for path in PAGES:
            print(f"{path:<32} {await time_of(pages, path)}")


async def time_of(app: FastAPI, path: str) -> str:
    """How long an answer takes, the first time and usually, and how large it is."""
    took = []
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://bench") as client:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            answer = await client.get(path)
            took.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, answer.text
    return f"first {took[0]:7.1f} ms, median {median(took):7.1f} ms, {len(answer.content) / 1024:5.1f} KiB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--store", help=HELP)
    given = parser.parse_args()
    with store_of(given.store) as url:
        asyncio.run(_measure(url, given.jobs))
