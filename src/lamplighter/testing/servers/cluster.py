"""A Redis Cluster on one machine: so many primaries, which share out the slots."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from lamplighter.testing.servers.base import HOST, STARTING, ServerFailed
from lamplighter.testing.servers.redis import NO_SETTINGS, AppendFsync, RedisServer, persistence

SLOTS = 16384
NODE_TIMEOUT = 2000  # milliseconds until a node that is silent counts as lost
CLUSTER = {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": str(NODE_TIMEOUT)}

_BUS = 10_000  # nodes talk among themselves on the port so much higher


class ClusterNode(RedisServer):
    """One of its servers. It takes its place again when it starts again."""

    beside = _BUS

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"  # a cluster has no numbered databases


class RedisCluster:
    """Every node is a server that can be killed and started again."""

    def __init__(self, nodes: Sequence[ClusterNode]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """Of one node; a client asks it for the others."""
        return self.nodes[0].url

    def join(self) -> None:
        """Make one cluster of the nodes, and wait until each of them says so."""
        for index, node in enumerate(self.nodes):
            first, last = (SLOTS * place // len(self.nodes) for place in (index, index + 1))
            _expect_ok(node, "CLUSTER", "ADDSLOTS", *range(first, last))
            _expect_ok(node, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            _expect_ok(node, "CLUSTER", "MEET", HOST, self.nodes[0].port)
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until every node serves, and knows all others: after a start, or when one comes back."""
        deadline = time.monotonic() + STARTING
        while not all(self._sees_all(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise ServerFailed(f"the nodes of the cluster did not find each other within {STARTING:.0f} s.")
            time.sleep(0.02)

    def _sees_all(self, node: ClusterNode) -> bool:
        info = str(node.ask("CLUSTER", "INFO")).splitlines()
        return {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}", f"cluster_slots_ok:{SLOTS}"} <= {*info}


@contextmanager
def private_redis_cluster(
    nodes: int = 3, *, appendfsync: AppendFsync | None = None, settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[RedisCluster]:
    """A cluster of its own of so many nodes, ready, for as long as the block lasts.

    Args:
        appendfsync: when a write reaches the disk; None keeps everything in memory alone.
        settings: of every node, as in redis.conf.

    Raises:
        MissingServer: Redis is not on this machine.
        ServerFailed: a node does not start, or they do not find each other.
    """
    ours = {**CLUSTER, **persistence(appendfsync), **settings}
    with ExitStack() as stack:
        made = [stack.enter_context(ClusterNode(None, ours)).begin() for _ in range(nodes)]
        cluster = RedisCluster(made)
        cluster.join()
        yield cluster


def _expect_ok(node: ClusterNode, *words: object) -> None:
    answer = node.ask(*words)
    if answer != "OK":
        raise ServerFailed(f"a node refused {' '.join(map(str, words))[:60]}: {answer or 'it said nothing'}.")
