"""Real servers for tests, each of this process alone.

    with private_postgres() as server:
        async with open_store(server.url) as store:
            ...
            server.kill()
            server.start()  # on the same data and port

They listen on a free port of 127.0.0.1, keep their data in a folder of their own, and end with the block or with this
process, even when it is killed. Their programs have to be on this machine: `MissingServer` says what to install.
"""

from __future__ import annotations

from lamplighter.testing.servers.base import MissingServer, PrivateServer, ServerFailed
from lamplighter.testing.servers.cluster import RedisCluster, private_redis_cluster
from lamplighter.testing.servers.pgbouncer import PgBouncerServer, private_pgbouncer
from lamplighter.testing.servers.postgres import PostgresServer, private_postgres
from lamplighter.testing.servers.prometheus import PrometheusServer, private_prometheus
from lamplighter.testing.servers.redis import RedisServer, private_redis
from lamplighter.testing.servers.sentinel import RedisSentinel, private_sentinel

__all__ = [
    "MissingServer",
    "PgBouncerServer",
    "PostgresServer",
    "PrivateServer",
    "PrometheusServer",
    "RedisCluster",
    "RedisSentinel",
    "RedisServer",
    "ServerFailed",
    "private_pgbouncer",
    "private_postgres",
    "private_prometheus",
    "private_redis",
    "private_redis_cluster",
    "private_sentinel",
]
