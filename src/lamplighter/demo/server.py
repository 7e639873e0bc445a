"""The process of a demo world, `python -m lamplighter.demo.server`: prints its URL and pid as JSON when it is up."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import msgspec
import uvicorn

from lamplighter.demo.app import world_app
from lamplighter.demo.catalog import PROVIDERS, DemoProvider
from lamplighter.demo.faults import FAULTS, Cue
from lamplighter.demo.world import World


class WorldServer(uvicorn.Server):
    """Says where it is once it accepts connections and, if asked, ends when its stdin does."""

    def __init__(self, config: uvicorn.Config, *, with_parent: bool) -> None:
        super().__init__(config)
        self._with_parent = with_parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._with_parent:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_stdin)
        port = self.servers[0].sockets[0].getsockname()[1]
        world = World(url=f"http://127.0.0.1:{port}", pid=os.getpid())
        print(msgspec.json.encode(world).decode(), flush=True)

    def _read_stdin(self) -> None:
        """The kernel closes a dead parent's end of the pipe, however it died: so no world outlives a killed parent."""
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.should_exit = True


def main() -> None:
    """Serve a world until SIGTERM or SIGINT."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    app = world_app(_providers(options.token_lifetime), options.faults)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=options.port,
        access_log=False,
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    WorldServer(config, with_parent=options.with_parent).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamplighter.demo.server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--token-lifetime", type=int, metavar="SECONDS", help="of every provider's access tokens")
    parser.add_argument("--faults", type=_script, default=FAULTS, metavar="JSON", help="[[at, fault], ...]")
    parser.add_argument("--no-faults", dest="faults", action="store_const", const=())
    parser.add_argument("--with-parent", action="store_true", help="end when stdin, a pipe, is closed")
    return parser.parse_args()


def _script(text: str) -> tuple[Cue, ...]:
    return msgspec.json.decode(text, type=tuple[Cue, ...])


def _providers(token_lifetime: int | None) -> tuple[DemoProvider, ...]:
    if token_lifetime is None:
        return PROVIDERS
    return tuple(msgspec.structs.replace(provider, token_lifetime=token_lifetime) for provider in PROVIDERS)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """uvicorn raises the signal again once it has shut down: leave with 0, as after any wished-for end."""
    sys.exit(0)


if __name__ == "__main__":
    main()
