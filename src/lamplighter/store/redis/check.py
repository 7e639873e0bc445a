"""What is looked at when a store is opened: the server's version, its settings, and what is under our prefix."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import hiredis

from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.scripts import script

OLDEST, NEWEST = 2, 2  # the schemas of keys and values that this code reads and writes; 1 was never released
OLDEST_SERVER = (6, 2)

_log = logging.getLogger("lamplighter.store")


async def check(link: Link, where: str) -> None:
    """Refuse a server or a schema that we cannot use, and warn of settings that may lose jobs.

    Raises:
        ConfigError: the server is too old.
        StoreDamaged: what is there was written by a newer version of this package, or before its first release.
    """
    info = await _info(link)
    refuse_old(info, where)
    schema = number_of(await link.run(script("open"), NEWEST, again=True), where)
    if schema > NEWEST:
        raise StoreDamaged(f"the jobs at {where} were written by a newer Lamplighter: upgrade this one.")
    for warning in warnings(info, await _save_points(link), where):
        _log.warning("%s", warning)


async def doubts(link: Link, where: str) -> list[str]:
    """The warnings of a server, asked for by themselves."""
    return warnings(await _info(link), await _save_points(link), where)


def number_of(schema: bytes, where: str) -> int:
    """The number of a schema.

    Raises:
        StoreDamaged: it is none, so somebody else's key is under our prefix; or one that was never released.
    """
    if not schema.isdigit():
        raise StoreDamaged(f"something else than jobs is under the prefix at {where}: give another ?prefix=.")
    if int(schema) < OLDEST:
        raise StoreDamaged(
            f"the jobs at {where} were written before the first release of Lamplighter: finish them with what wrote "
            "them, or give another ?prefix=."
        )
    return int(schema)


def refuse_old(info: Mapping[str, str], where: str) -> None:
    """Raise unless the server is new enough, or does not tell."""
    found = re.match(r"(\d+)\.(\d+)", info.get("redis_version", ""))
    if found and (int(found[1]), int(found[2])) < OLDEST_SERVER:
        raise ConfigError(f"the server at {where} is Redis {found[0]}, too old: use Redis 6.2 or newer, or Valkey.")


def warnings(info: Mapping[str, str], save_points: str | None, where: str) -> list[str]:
    """A sentence for each setting of the server that may lose jobs."""
    found: list[str] = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"The Redis server at {where} has maxmemory-policy {policy}, which may throw jobs away when its memory is "
            "full: set it to noeviction."
        )
    if info.get("aof_enabled") == "0" and save_points == "":
        found.append(
            f"The Redis server at {where} keeps nothing on disk, so a restart loses all jobs: set appendonly to yes "
            "(then a crash loses the last second at most)."
        )
    return found


async def _info(link: Link) -> dict[str, str]:
    reply = await link.ask("INFO")
    if not isinstance(reply, bytes):
        _log.debug("The server does not let us see its version and settings: %s", reply)
        return {}
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


async def _save_points(link: Link) -> str | None:
    """When the server writes its memory to disk; None when it does not tell."""
    reply = await link.ask("CONFIG", "GET", "save")
    if isinstance(reply, hiredis.ReplyError) or not reply:
        _log.debug("The server does not let us see whether it keeps anything on disk: %s", reply)
        return None
    return bytes(reply[1]).decode()
