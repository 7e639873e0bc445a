"""The API and the dashboard of the bench's app, in a process of its own: `python -m bench.load_server STORE`."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from bench.filled_app import filled_app, viewer
from starlette.applications import Starlette
from starlette.routing import Mount

from lamplighter.web import dashboard, http_api
from lamplighter.web.serve import Server, listening


async def main() -> None:
    """Serve until SIGTERM; prints the port."""
    app, _ = filled_app(sys.argv[1])
    web = Starlette(
        routes=[Mount("/admin/queues", dashboard(app, identify=viewer)), Mount("", http_api(app, identify=viewer))]
    )
    with listening("127.0.0.1", 0) as listener:
        async with app:
            server = Server(web)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
            print(listener.getsockname()[1], flush=True)
            await server.serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
