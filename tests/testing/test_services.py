"""What a test leaves on a server that it shares is taken away, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis
from tests.services import fresh_prefix, fresh_schema, start

from lamplighter.testing.servers import private_redis


def parameter(url: str, name: str) -> str:
    [value] = parse_qs(urlsplit(url).query)[name]
    return value


def test_a_schema_is_dropped_with_what_is_in_it(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with fresh_schema(postgres_url) as one, fresh_schema(postgres_url) as other:
            ours, theirs = (parameter(url, "schema") for url in (one, other))
            connection.execute(f"CREATE SCHEMA {ours} CREATE TABLE jobs (id text)".encode())
            assert ours != theirs

        named = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [ours])
        assert named.rowcount == 0


def test_the_keys_with_a_prefix_are_deleted(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        with fresh_prefix(redis_url, redis.Redis.from_url) as url:
            prefix = parameter(url, "prefix")
            client.mset({f"{{{prefix}}}:{number}": "1" for number in range(3000)})
            client.set("another's", "1")

        assert client.keys(f"*{prefix}*") == []
        assert client.getdel("another's") == b"1"


def test_the_keys_in_a_cluster_are_deleted_on_every_node(redis_cluster_url: str) -> None:
    with redis.RedisCluster.from_url(redis_cluster_url) as client:
        with fresh_prefix(redis_cluster_url, redis.RedisCluster.from_url) as url:
            prefix = parameter(url, "prefix")
            for number in range(20):
                client.set(f"{prefix}:{number}", "1")

        assert list(client.scan_iter(f"*{prefix}*")) == []


@pytest.mark.parametrize(("variable", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_server_that_is_missing_fails_in_ci_and_is_skipped_elsewhere(
    variable: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", variable)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(outcome, match="redis-server is not on this machine"):
        start(ExitStack(), private_redis())
