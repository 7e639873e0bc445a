"""Servers are killed and started again, and nothing of them is left when whoever started them is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import psycopg
import pytest
import redis
from tests.services import start

from lamplighter.testing.servers import (
    MissingServer,
    PostgresServer,
    PrivateServer,
    RedisServer,
    ServerFailed,
    private_pgbouncer,
    private_postgres,
    private_redis,
    private_redis_cluster,
    private_sentinel,
)
from lamplighter.testing.servers.base import children, find, free_port, runs


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def postgres(stack: ExitStack) -> PostgresServer:
    return start(stack, private_postgres())


@pytest.fixture
def redis_server(stack: ExitStack) -> RedisServer:
    return start(stack, private_redis(appendfsync="always"))


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("end", [PostgresServer.kill, PostgresServer.stop, lambda it: it.stop("immediate")])
def test_postgres_keeps_what_it_committed(postgres: PostgresServer, end: Callable[[PostgresServer], None]) -> None:
    url, pid = postgres.url, postgres.pid
    ask(url, "CREATE TABLE kept AS SELECT 1 AS one")

    end(postgres)
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT")
    postgres.start()

    assert ask(url, "SELECT one FROM kept") == [(1,)]
    assert postgres.url == url
    assert postgres.pid != pid


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.stop])
def test_redis_keeps_what_it_wrote_to_its_log(redis_server: RedisServer, end: Callable[[RedisServer], None]) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("kept", "yes")
        end(redis_server)
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        redis_server.start()

        assert client.get("kept") == b"yes"


def test_redis_without_a_log_forgets(stack: ExitStack) -> None:
    server = start(stack, private_redis())
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "no")
        server.stop()
        server.start()

        assert client.get("kept") is None


def test_a_kill_ends_every_process_of_a_server(postgres: PostgresServer) -> None:
    processes = [postgres.pid, *children(postgres.pid)]
    assert len(processes) > 3

    postgres.kill()
    postgres.start()  # which it could not while one of them were left

    assert not any(runs(pid) for pid in processes)


def test_a_server_that_was_killed_from_outside_starts_again(redis_server: RedisServer) -> None:
    os.kill(redis_server.pid, signal.SIGKILL)
    redis_server.stop()  # waits until it has ended
    redis_server.start()

    assert redis_server.ask("PING") == "PONG"


def test_settings_are_the_servers_own(stack: ExitStack) -> None:
    postgres = start(stack, private_postgres(fsync=False, settings={"max_connections": "7"}))
    server = start(stack, private_redis(settings={"maxmemory": "64mb"}))

    assert ask(postgres.url, "SHOW max_connections") == [("7",)]
    assert ask(postgres.url, "SHOW fsync") == [("off",)]
    assert server.ask("CONFIG", "GET", "maxmemory") == ["maxmemory", str(64 * 1024**2)]


@pytest.mark.parametrize("private", [private_postgres, private_redis])
def test_a_block_that_ends_leaves_nothing(private: Callable[[], AbstractContextManager[PrivateServer]]) -> None:
    with ExitStack() as stack:
        server = start(stack, private())
        processes = [server.pid, *children(server.pid)]
        folder = server.folder
        assert is_open(server.port)

    assert not any(runs(pid) for pid in processes)
    assert not folder.exists()
    assert not is_open(server.port)


def test_a_server_that_hangs_is_ended_all_the_same() -> None:
    with ExitStack() as stack:
        server = start(stack, private_redis())
        os.kill(server.pid, signal.SIGSTOP)

    assert not runs(server.pid)


def test_a_folder_that_was_given_stays_with_its_data(tmp_path: Path) -> None:
    for expected in (None, b"yes"):
        with ExitStack() as stack:
            server = start(stack, private_redis(tmp_path / "redis", appendfsync="always"))
            with redis.Redis.from_url(server.url) as client:
                assert client.get("kept") == expected
                client.set("kept", "yes")


def test_a_server_outlives_the_thread_that_started_it(stack: ExitStack) -> None:
    servers: list[RedisServer] = []
    starter = threading.Thread(target=lambda: servers.append(start(stack, private_redis())))
    starter.start()
    starter.join()

    [server] = servers
    assert server.ask("PING") == "PONG"


OWNER = """
import sys
from lamplighter.testing.servers import private_postgres, private_redis
with private_postgres(fsync=False) as postgres, private_redis() as redis:
    print(postgres.pid, redis.pid, postgres.folder, redis.folder, flush=True)
    sys.stdin.read()
"""


def test_servers_end_when_the_process_that_started_them_is_killed(postgres_url: str, redis_url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        *pids, postgres_folder, redis_folder = owner.stdout.readline().decode().split()
        processes = [int(pid) for pid in pids] + children(int(pids[0]))
        assert len(processes) > 4
        guards = children(owner.pid)
        owner.kill()
    for guard in guards:
        _wait_for_end(guard)

    assert not any(runs(pid) for pid in processes)
    assert not Path(postgres_folder).exists()
    assert not Path(redis_folder).exists()


def _wait_for_end(pid: int) -> None:
    while runs(pid):
        threading.Event().wait(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_server_ends_with_its_guard() -> None:
    with ExitStack() as stack:
        server = start(stack, private_redis())
        [guard] = [pid for pid in children(os.getpid()) if server.pid in children(pid)]
        os.kill(guard, signal.SIGKILL)
        _wait_for_end(server.pid)

    assert not server.folder.exists()


@pytest.mark.parametrize("private", [private_postgres, private_redis, private_pgbouncer])
def test_a_port_that_another_was_faster_to_take_is_not_insisted_on(
    private: Callable[..., AbstractContextManager[PrivateServer]],
    stack: ExitStack,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    ports = [taken.getsockname()[1], free_port()]
    monkeypatch.setattr("lamplighter.testing.servers.base.free_port", lambda _: ports.pop(0))
    second = ports[1]

    server = start(stack, private(postgres_url) if private is private_pgbouncer else private())

    assert server.port == second


def test_a_setting_that_there_is_not_is_told_with_the_servers_own_words(postgres_url: str, redis_url: str) -> None:
    with pytest.raises(ServerFailed, match="no_such_thing"), private_postgres(settings={"no_such_thing": "1"}):
        pass
    with pytest.raises(ServerFailed, match="no-such-thing"), private_redis(settings={"no-such-thing": "1"}):
        pass


def test_a_program_that_is_missing_is_told_with_what_to_install() -> None:
    with pytest.raises(MissingServer, match=r"^lampd is not on this machine: install Lampd\.$"):
        find("lampd", "opt/lampd/*/lampd", install="Lampd")


def test_a_cluster_answers_on_each_node_and_takes_a_lost_one_back(stack: ExitStack) -> None:
    cluster = start(stack, private_redis_cluster(appendfsync="always"))
    with redis.RedisCluster.from_url(cluster.url) as client:
        values = {f"key-{number}": str(number).encode() for number in range(30)}
        for key, value in values.items():
            client.set(key, value)
        assert all(node.ask("DBSIZE") != "0" for node in cluster.nodes)

        cluster.nodes[1].kill()
        cluster.nodes[1].start()
        cluster.wait_until_whole()

        assert {key: client.get(key) for key in values} == values


def test_sentinels_promote_the_replica_when_the_master_is_lost(stack: ExitStack) -> None:
    made = start(stack, private_sentinel())
    lost = made.master
    sentinels = [("127.0.0.1", sentinel.port) for sentinel in made.sentinels]
    with redis.Redis.from_url(lost.url) as client:
        client.set("kept", "yes")
        client.wait(1, 0)

    lost.kill()
    made.wait_for_failover(lost)

    assert made.master is not lost
    finder = redis.Sentinel(sentinels)  # type: ignore[no-untyped-call]
    assert finder.discover_master("lamplighter") == ("127.0.0.1", made.master.port)  # type: ignore[no-untyped-call]
    for sentinel in finder.sentinels:
        sentinel.close()
    assert made.master.ask("GET", "kept") == "yes"
    assert made.master.ask("SET", "more", "yes") == "OK"


def test_a_bouncer_lends_one_session_to_many_clients(stack: ExitStack, postgres_url: str) -> None:
    bouncer = start(stack, private_pgbouncer(postgres_url, settings={"default_pool_size": "1"}))
    with psycopg.connect(bouncer.url, autocommit=True) as one, psycopg.connect(bouncer.url, autocommit=True) as other:
        sessions = [client.execute("SELECT pg_backend_pid()").fetchone() for client in (one, other)]

    assert sessions[0] == sessions[1]
    bouncer.kill()
    bouncer.start()
    assert ask(bouncer.url, "SELECT 1") == [(1,)]
