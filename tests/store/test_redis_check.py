"""What is looked at when a Redis store is opened."""

from __future__ import annotations

import logging

import pytest
from tests.services import StartRedis

from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.store.redis import RedisStore
from lamplighter.store.redis.check import NEWEST, refuse_old, warnings
from lamplighter.testing.conformance._make import add, job
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
