"""Redis with failover: a master, a replica, and three sentinels that promote the one when the other is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from lamplighter.testing.servers.base import HOST, STARTING, ServerFailed
from lamplighter.testing.servers.redis import NO_SETTINGS, AppendFsync, RedisServer, persistence

MASTER = "lamplighter"
SENTINELS = 3
QUORUM = 2  # sentinels that have to find the master lost

_DOWN_AFTER = 500  # milliseconds of silence until a sentinel finds it lost
_FAILOVER = 2000  # milliseconds until the next try, if one fails


class SentinelServer(RedisServer):
    """One of those that watch."""

    def __init__(self, master: RedisServer) -> None:
        watched = {
            "sentinel monitor": f"{MASTER} {HOST} {master.port} {QUORUM}",
            "sentinel down-after-milliseconds": f"{MASTER} {_DOWN_AFTER}",
            "sentinel failover-timeout": f"{MASTER} {_FAILOVER}",
        }
        super().__init__(None, watched, "--sentinel")

    @property
    def master_port(self) -> int:
        """Where it sends clients; 0 if it does not answer."""
        answer = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(str(answer[1])) if isinstance(answer, list) else 0

    def sees_all(self) -> bool:
        """Whether it knows the replica and the other sentinels: before that, nothing can be promoted."""
        [state] = [line for line in self.info("sentinel") if line.startswith("master0:")] or [""]
        return state.endswith(f"status=ok,address={HOST}:{self.master_port},slaves=1,sentinels={SENTINELS}")


class RedisSentinel:
    """`servers` are the two that hold data; which of them is the master is for the sentinels to say."""

    def __init__(self, servers: Sequence[RedisServer], sentinels: Sequence[SentinelServer]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """With every sentinel and the master's name, for a client that asks them."""
        places = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/0?master={MASTER}"

    @property
    def master(self) -> RedisServer:
        """The one that most sentinels call so."""
        ports = [sentinel.master_port for sentinel in self.sentinels]
        return max(self.servers, key=lambda server: ports.count(server.port))

    def wait_until_whole(self) -> None:
        """Until the sentinels agree who is the master, and could promote the replica."""
        _until(self._all_see_all, "the sentinels did not find each other and the replica")

    def wait_for_failover(self, lost: RedisServer) -> None:
        """Until the sentinels agree on another master than this one, and it takes writes."""
        [other] = [server for server in self.servers if server is not lost]
        _until(lambda: all(one.master_port == other.port for one in self.sentinels), "the replica was not promoted")
        _until(lambda: "role:master" in other.info("replication"), "the replica did not become the master")

    def _all_see_all(self) -> bool:
        followed = "connected_slaves:1" in self.master.info("replication")
        return followed and all(sentinel.sees_all() for sentinel in self.sentinels)


@contextmanager
def private_sentinel(
    *, appendfsync: AppendFsync | None = None, settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[RedisSentinel]:
    """A master and a replica that three sentinels watch, ready for a failover, for as long as the block lasts.

    Args:
        appendfsync: when a write reaches the disk; None keeps everything in memory alone.
        settings: of the two servers, as in redis.conf.

    Raises:
        MissingServer: Redis is not on this machine.
        ServerFailed: a server does not start, or they do not find each other.
    """
    ours = {"repl-diskless-sync-delay": "0", **persistence(appendfsync), **settings}
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer(None, ours)).begin()
        follows = ours | {"replicaof": f"{HOST} {master.port}"}
        replica = stack.enter_context(RedisServer(None, follows)).begin()
        # A sentinel asks the master for its replicas every ten seconds only: one that comes later would wait so long.
        _until(lambda: "connected_slaves:1" in master.info("replication"), "the replica did not find the master")
        sentinels = [stack.enter_context(SentinelServer(master)).begin() for _ in range(SENTINELS)]
        made = RedisSentinel([master, replica], sentinels)
        made.wait_until_whole()
        yield made


def _until(so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + STARTING
    while not so():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{otherwise} within {STARTING:.0f} s.")
        time.sleep(0.02)
