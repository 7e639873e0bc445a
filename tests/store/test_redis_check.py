"""What is looked at when a Redis store is opened."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli.program import Program
from tests.services import StartRedis

from lamplighter.core.clock import from_us
from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.store.migrate import migrate
from lamplighter.store.redis import RedisStore
from lamplighter.store.redis.check import NEWEST, OLDEST, refuse_old, warnings
from lamplighter.store.redis.schema import RedisSchema
from lamplighter.testing.conformance._make import add, claim, job
from lamplighter.testing.servers import RedisServer


@pytest.mark.parametrize("version", ["5.0.14", "6.0.16"])
def test_a_server_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match=rf"is Redis {version[:3]}, too old: use Redis 6.2 or newer, or Valkey"):
        refuse_old({"redis_version": version}, "here")


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "10.0.0", ""])
def test_a_server_that_is_new_enough_or_does_not_tell_is_taken(version: str) -> None:
    refuse_old({"redis_version": version}, "here")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_warned_of(policy: str) -> None:
    [warning] = warnings({"maxmemory_policy": policy, "aof_enabled": "1"}, "", "here")
    assert f"maxmemory-policy {policy}, which may throw jobs away" in warning


@pytest.mark.parametrize(("aof", "save"), [("1", ""), ("0", "3600 1"), ("0", None)])
def test_a_server_that_keeps_something_on_disk_or_does_not_tell_is_not_warned_of(aof: str, save: str | None) -> None:
    assert warnings({"maxmemory_policy": "noeviction", "aof_enabled": aof}, save, "here") == []


async def test_each_setting_that_may_lose_jobs_is_warned_of_once(
    start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis(settings={"maxmemory-policy": "allkeys-lru"})
    async with RedisStore(server.url) as store, store:
        await add(store, job())
    assert sorted(record.levelname for record in caplog.records) == ["WARNING", "WARNING"]
    assert "may throw jobs away when its memory is full" in caplog.text
    assert "keeps nothing on disk, so a restart loses all jobs" in caplog.text


async def test_a_server_that_hides_its_settings_is_used_all_the_same(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.ask("ACL", "SETUSER", "app", "on", ">pw", "~{hidden}*", "&{hidden}*", "+@all", "-@admin", "-info")
    caplog.set_level(logging.DEBUG, "lamplighter.store")
    async with RedisStore(f"redis://app:pw@127.0.0.1:{redis_server.port}?prefix=hidden") as store:
        await add(store, job())
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


async def test_jobs_of_a_newer_schema_are_left_alone(redis_server: RedisServer) -> None:
    redis_server.ask("SET", "{newer}:schema", NEWEST + 1)
    with pytest.raises(StoreDamaged, match="written by a newer Lamplighter: upgrade this one"):
        await RedisStore(f"{redis_server.url}?prefix=newer").__aenter__()
    assert redis_server.ask("KEYS", "{newer}*") == ["{newer}:schema"]


async def test_jobs_of_a_schema_that_was_never_released_are_left_alone(redis_server: RedisServer) -> None:
    redis_server.ask("SET", "{older}:schema", OLDEST - 1)
    with pytest.raises(StoreDamaged, match=r"written before the first release of Lamplighter: finish them with what"):
        await RedisStore(f"{redis_server.url}?prefix=older").__aenter__()
    with pytest.raises(StoreDamaged, match="before the first release"):
        await RedisSchema(f"{redis_server.url}?prefix=older").taken()
    assert redis_server.ask("KEYS", "{older}*") == ["{older}:schema"]


@pytest.fixture
def prefix() -> str:
    return str(uuid4())


@pytest.fixture
def url(redis_server: RedisServer, prefix: str) -> str:
    return f"{redis_server.url}?prefix={prefix}"


def keys(server: RedisServer, prefix: str) -> object:
    return server.ask("KEYS", f"{{{prefix}}}*")


async def test_a_fresh_prefix_lacks_every_step_and_to_look_makes_nothing(
    redis_server: RedisServer, url: str, prefix: str, tmp_path: Path
) -> None:
    assert await RedisSchema(url).taken() == []
    answer = Program(tmp_path)("migrate", "--check", "--store", url, "--json")
    assert (answer.code, answer.json["pending"]) == (1, ["jobs"])
    assert keys(redis_server, prefix) == []


async def test_who_opens_a_store_leaves_nothing_to_migrate(url: str, tmp_path: Path) -> None:
    async with RedisStore(url):
        pass
    schema = RedisSchema(url)
    assert await schema.taken() == list(schema.steps)
    assert await migrate(schema, post=True) == []
    assert Program(tmp_path)("migrate", "--check", "--post", "--store", url).code == 0


async def test_a_prefix_that_was_migrated_is_opened_as_it_is(redis_server: RedisServer, url: str, prefix: str) -> None:
    schema = RedisSchema(url)
    assert await migrate(schema) == list(schema.steps)
    assert await migrate(schema) == []
    async with RedisStore(url):
        assert keys(redis_server, prefix) == [f"{{{prefix}}}:schema"]
    assert redis_server.ask("GET", f"{{{prefix}}}:schema") == str(NEWEST)


@pytest.mark.parametrize("post", [False, True])
async def test_a_post_step_that_this_code_does_not_know_is_refused_in_one_sentence(
    redis_server: RedisServer, url: str, prefix: str, tmp_path: Path, post: bool
) -> None:
    redis_server.ask("SET", f"{{{prefix}}}:schema", NEWEST + 1)
    said = (
        f"the prefix {prefix} of the Redis server {url} was migrated for a newer Lamplighter alone: upgrade this one."
    )
    with pytest.raises(StoreDamaged) as refused:
        await migrate(RedisSchema(url), post=post)
    assert str(refused.value) == said
    answer = Program(tmp_path)("migrate", "--check", *["--post"] * post, "--store", url)
    assert (answer.code, answer.sentence) == (3, said)
    assert redis_server.ask("GET", f"{{{prefix}}}:schema") == str(NEWEST + 1)


async def test_what_a_pre_step_of_a_newer_version_added_is_no_hindrance(
    redis_server: RedisServer, url: str, prefix: str
) -> None:
    async with RedisStore(url) as store:
        redis_server.ask("SET", f"{{{prefix}}}:of_the_future", "theirs")
        [id_] = await add(store, job())
    async with RedisStore(url) as store:
        assert await migrate(RedisSchema(url), post=True) == []
        assert [attempt.id for attempt in await claim(store)] == [id_]
    assert redis_server.ask("GET", f"{{{prefix}}}:of_the_future") == "theirs"


async def test_the_time_of_a_store_is_its_servers(redis_server: RedisServer, url: str) -> None:
    async with RedisStore(url) as store:
        before, found, after = time_of(redis_server), await store.time(), time_of(redis_server)
    assert found is not None
    assert before <= found <= after


def time_of(server: RedisServer) -> datetime:
    answer = server.ask("TIME")
    assert isinstance(answer, list)
    seconds, us = map(str, answer)
    return from_us(int(seconds) * 1_000_000 + int(us))


async def test_a_schema_that_is_no_number_of_ours_is_left_alone(redis_server: RedisServer) -> None:
    redis_server.ask("SET", "{theirs}:schema", "v2-final")
    url = f"{redis_server.url}?prefix=theirs"
    with pytest.raises(StoreDamaged, match=r"something else than jobs is under the prefix .* give another \?prefix="):
        await RedisStore(url).__aenter__()
    with pytest.raises(StoreDamaged, match="something else than jobs"):
        await RedisSchema(url).taken()
