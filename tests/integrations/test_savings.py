"""Tokens that were received are stored, whatever happens between the answer and the commit."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.integrations.support import KEY, Endpoint, Home, Service, Timer, service

from lamplighter.demo.client import count_requests
from lamplighter.demo.world import World
from lamplighter.integrations.refreshing.fault import AFTER_TOKEN_RESPONSE, VARIABLE
from lamplighter.integrations.refreshing.journal import Journal
from lamplighter.integrations.refreshing.outcome import Busy
from lamplighter.integrations.refreshing.savings import Unsaved
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.vault import UnknownKey, Vault, new_key

SLUG = "lantern-drive"
ROOT = Path(__file__).parents[2]

# Another process on the same files: refreshes as often as told, and says how each ended.
OTHER = """
import asyncio, sys
from pathlib import Path
from lamplighter.integrations.refreshing.outcome import Busy
from tests.integrations import support
home = support.Home(Path(sys.argv[1]), sys.argv[2])
support.KEY, integration_id, times = sys.argv[3], sys.argv[4], int(sys.argv[5])
async def main():
    async with support.service(home) as ours:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(times):
            try:
                print((await ours.refresher.refresh(integration_id, force=True)).outcome, flush=True)
            except Busy:
                print("busy", flush=True)
asyncio.run(main())
"""


async def other(home: Home, integration_id: str, times: int, **environment: str) -> asyncio.subprocess.Process:
    """That process, about to begin."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OTHER, str(home.folder), home.url, KEY, integration_id, str(times),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", str(ROOT), *sys.path]), **environment},
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def test_processes_that_race_never_spend_a_token_twice(demo: World, home: Home) -> None:
    async with service(home) as ours:
        connected = await ours.consent(demo.url, SLUG)
        racers = [await other(home, connected.id, 15) for _ in range(2)]
        said = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
        outcomes = b"".join(out for out, _ in said).decode().split()
        assert set(outcomes) <= {"refreshed", "adopted", "busy"}
        asked = await count_requests(ours.http, demo.url, SLUG)
        assert asked.reuses == 0
        assert asked.refreshes["ada"] == outcomes.count("refreshed") > 0
        assert (await ours.refresher.refresh(connected.id, force=True)).outcome == "refreshed"


@pytest.mark.parametrize("starts_with", ["recover", "an expired lock"])
async def test_a_token_outlives_a_kill_between_the_answer_and_the_database(
    demo: World, home: Home, starts_with: str
) -> None:
    async with service(home) as ours:
        connected = await ours.consent(demo.url, SLUG)
        process = await other(home, connected.id, 1, **{VARIABLE: AFTER_TOKEN_RESPONSE})
        out, _ = await process.communicate(b"go\n")
        assert (process.returncode, out) == (-9, b"")
        with pytest.raises(Busy):
            await ours.refresher.refresh(connected.id, force=True)
        if starts_with == "recover":
            recovered = await ours.refresher.recover()
            assert (recovered.saved, recovered.stale, recovered.unreadable) == (1, 0, ())
            assert ours.plans.inside
        else:
            await expire_lock(ours)
        assert (await ours.refresher.refresh(connected.id, force=True)).outcome in {"refreshed", "adopted"}
        assert (await ours.refresher.refresh(connected.id, force=True)).outcome == "refreshed"
        assert (await count_requests(ours.http, demo.url, SLUG)).reuses == 0
        assert len(list((home.folder / "journal").iterdir())) == 1


async def expire_lock(ours: Service) -> None:
    statement = update(integrations).where(integrations.c.lock_owner.is_not(None)).values(lock_until=0)
    assert await ours.database.write(lambda connection: connection.execute(statement).rowcount) == 1


class Heard(logging.Handler):
    """Sets an event at the first warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.call_soon_threadsafe(self.event.set)


async def test_a_database_that_is_locked_during_the_save_loses_nothing(endpoint: Endpoint, home: Home) -> None:
    heard = Heard()
    logger = logging.getLogger("lamplighter.integrations.refreshing.savings")
    async with service(home.impatient) as ours:
        connected, refresh = await ours.begin_refresh(endpoint)
        logger.addHandler(heard)
        try:
            with home.unwritable():
                endpoint.may_answer.set()
                await heard.event.wait()  # the first try has failed
        finally:
            logger.removeHandler(heard)
        assert (await refresh).outcome == "refreshed"
        assert await ours.tokens(connected.id) == ("new-access", "new-refresh")
        assert len(ours.plans.inside) + len(ours.plans.outside) == 1


@pytest.mark.parametrize("starts_with", ["recover", "refresh", "another process"])
async def test_what_could_not_be_stored_is_kept_and_stored_first(
    endpoint: Endpoint, home: Home, starts_with: str
) -> None:
    async with service(home.impatient, patience=0) as ours:
        connected, refresh = await ours.begin_refresh(endpoint)
        with home.unwritable():
            endpoint.may_answer.set()
            with pytest.raises(Unsaved) as unsaved:
                await refresh
        assert "new-" not in str(unsaved.value)
        if starts_with == "recover":
            assert (await ours.refresher.recover()).saved == 1
        if starts_with != "another process":
            assert (await ours.refresher.refresh(connected.id)).outcome == "fresh"
    async with service(home) as ours:
        assert (await ours.refresher.recover()).saved == (starts_with == "another process")
        assert await ours.tokens(connected.id) == ("new-access", "new-refresh")
        assert (await ours.get(connected.id)).locked_until is None
        assert endpoint.tokens == ["r"]


async def test_an_entry_under_a_lost_key_is_kept_and_neither_blocks_nor_is_overtaken(
    endpoint: Endpoint, home: Home
) -> None:
    async with service(home, clock=Timer()) as ours:
        provider = endpoint.provider()
        await ours.registrations.register(provider)
        connected = await ours.connect(provider, "a", "r", life=-1)
        lost = new_key()
        for key, token in ((lost, b"{}"), (KEY, b'{"owner":"o","issued_at":1,"access_token":"x"}')):
            with Journal(home.folder / "journal", Vault.from_text(key)) as dead:
                dead.record(connected.id if key == lost else "nobody", 1, token)
        recovered = await ours.refresher.recover()
        assert (recovered.saved, recovered.stale, recovered.unreadable) == (0, 1, (connected.id,))
        assert (await ours.refresher.recover()).unreadable == (connected.id,)

        crashed = update(integrations).values(lock_owner="dead", lock_until=1)
        await ours.database.write(lambda connection: connection.execute(crashed).rowcount)
        with pytest.raises(UnknownKey, match="journal"):
            await ours.refresher.refresh(connected.id)
        assert endpoint.tokens == []
        await ours.connect(provider, "a2", "r2")  # connected again: what the entry holds is outdated
        assert (await ours.refresher.recover()).unreadable == ()


async def test_a_stale_orphan_is_discarded(endpoint: Endpoint, ours: Service, home: Home) -> None:
    provider = endpoint.provider()
    await ours.registrations.register(provider)
    connected = await ours.connect(provider, "a", "r")
    await ours.connect(provider, "a2", "r2")
    with Journal(home.folder / "journal", Vault.from_text(KEY)) as dead:
        dead.record(connected.id, 1, b'{"owner":"o","issued_at":1,"access_token":"old","expires_at":2}')
    recovered = await ours.refresher.recover()
    assert (recovered.saved, recovered.stale) == (0, 1)
    assert await ours.tokens(connected.id) == ("a2", "r2")
    assert (await ours.refresher.recover()).stale == 0
