"""A Redis Cluster on one machine: so many primaries, which share out the slots, and replicas that may take over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from lamplighter.testing.servers.base import HOST, STARTING, ServerFailed
from lamplighter.testing.servers.redis import NO_SETTINGS, AppendFsync, RedisServer, persistence

SLOTS = 16384
NODE_TIMEOUT = 2000  # milliseconds until a node that is silent counts as lost
CLUSTER = {
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-node-timeout": str(NODE_TIMEOUT),
    "repl-diskless-sync-delay": "0",
}

_BUS = 10_000  # nodes talk among themselves on the port so much higher


class ClusterNode(RedisServer):
    """One of its servers. It takes its place again when it starts again."""

    beside = _BUS

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"  # a cluster has no numbered databases


class RedisCluster:
    """Every node is a server that can be killed and started again. The first `primaries` of them begin as such."""

    def __init__(self, nodes: Sequence[ClusterNode], primaries: int) -> None:
        self.nodes = nodes
        self._primaries = primaries

    @property
    def url(self) -> str:
        """Of one node; a client asks it for the others."""
        return self.nodes[0].url

    def join(self) -> None:
        """Make one cluster of the nodes, and wait until each of them says so."""
        for index, node in enumerate(self.nodes):
            _expect_ok(node, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            _expect_ok(node, "CLUSTER", "MEET", HOST, self.nodes[0].port)
        self._share_out_slots()
        self.wait_until_whole()
        self._follow()

    def wait_until_whole(self) -> None:
        """Until every node serves, and knows all others: after a start, or when one comes back."""
        self._until(self._sees_all, "find each other")

    def _share_out_slots(self) -> None:
        for index in range(self._primaries):
            first, last = (SLOTS * place // self._primaries for place in (index, index + 1))
            _expect_ok(self.nodes[index], "CLUSTER", "ADDSLOTS", *range(first, last))

    def _follow(self) -> None:
        """Only a node that knows its primary by now can."""
        for index in range(self._primaries, len(self.nodes)):
            primary = self.nodes[index % self._primaries].ask("CLUSTER", "MYID")
            _expect_ok(self.nodes[index], "CLUSTER", "REPLICATE", primary)
        self._until(self._sees_replicas, "follow their primaries")

    def _until(self, so: Callable[[ClusterNode], bool], what: str) -> None:
        deadline = time.monotonic() + STARTING
        while not all(so(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise ServerFailed(f"the nodes of the cluster did not {what} within {STARTING:.0f} s.")
            time.sleep(0.02)

    def _sees_replicas(self, node: ClusterNode) -> bool:
        """All of them, and itself in touch with its primary if it is one: before that, none can take over."""
        lines = str(node.ask("CLUSTER", "NODES")).splitlines()
        linked = not {"role:slave", "master_link_status:down"} <= node.info("replication")
        return linked and sum("slave" in line.split()[2] for line in lines) == len(self.nodes) - self._primaries

    def _sees_all(self, node: ClusterNode) -> bool:
        info = str(node.ask("CLUSTER", "INFO")).splitlines()
        return {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}", f"cluster_slots_ok:{SLOTS}"} <= {*info}


@contextmanager
def private_redis_cluster(
    nodes: int = 3,
    *,
    replicas: int = 0,
    appendfsync: AppendFsync | None = None,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[RedisCluster]:
    """A cluster of its own of so many nodes, ready, for as long as the block lasts.

    Args:
        replicas: of each node; they are more nodes.
        appendfsync: when a write reaches the disk; None keeps everything in memory alone.
        settings: of every node, as in redis.conf.

    Raises:
        MissingServer: Redis is not on this machine.
        ServerFailed: a node does not start, or they do not find each other.
    """
    ours = {**CLUSTER, **persistence(appendfsync), **settings}
    with ExitStack() as stack:
        made = [stack.enter_context(ClusterNode(None, ours)).begin() for _ in range(nodes * (1 + replicas))]
        cluster = RedisCluster(made, nodes)
        cluster.join()
        yield cluster


def _expect_ok(node: ClusterNode, *words: object) -> None:
    answer = node.ask(*words)
    if answer != "OK":
        raise ServerFailed(f"a node refused {' '.join(map(str, words))[:60]}: {answer or 'it said nothing'}.")
