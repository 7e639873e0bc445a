"""Things are broken, in processes as they would be run, and the doctor names what it was."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.program import SOON, Program, end, read_until
from tests.cli.shop import GATE, Shop

from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.core.model import NewJob, State, Where
from lamplighter.demo.settle import settle
from lamplighter.demo.world import running_world
from lamplighter.families.doctor.finding import SEVERITY
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.vault import new_key
from lamplighter.web.roles import Role
from lamplighter.web.signin.keys import Keys

TOKENS = """
from lamplighter import App
from lamplighter.families.tokens import TokenFamily

app = App("sqlite:///lamplighter.db")
TokenFamily(app)
"""


@pytest.fixture
async def settled(tmp_path: Path) -> Path:
    """A folder with a dozen integrations, whose tokens are to be refreshed at once by providers that are gone."""
    store = f"sqlite:///{tmp_path}/lamplighter.db"
    async with (
        running_world(faults=False, token_lifetime=1) as world,
        open_service(Settings(store=store), NoPlanner()) as service,
    ):
        await settle(service, world.url)
        long_due = integrations.update().values(refresh_at=to_us(utcnow() - timedelta(minutes=1)))
        await service.database.write(lambda connection: connection.execute(long_due))
    (tmp_path / "vault_app.py").write_text(TOKENS)
    return tmp_path


def found(cli: Program, **environ: str) -> dict[str, str]:
    """What is wrong, by name, if it says so at all."""
    answer = cli("doctor", "--json", environ=environ)
    checks = answer.json["checks"]
    assert [one["name"] for one in checks] == list(SEVERITY)
    wrong = {one["name"]: "\n".join(one["says"]) for one in checks if one["state"] == "wrong"}
    assert (answer.code, answer.json["well"]) == ((1, False) if wrong else (0, True))
    return wrong


def until_found(cli: Program, name: str, word: str = "") -> str:
    """What it says under that name, as soon as it does, with that word in it."""
    deadline = time.monotonic() + SOON
    while name not in (wrong := found(cli)) or word not in wrong[name]:
        assert time.monotonic() < deadline, wrong
    return wrong[name]


async def test_all_is_well_where_a_worker_works(cli: Program, shop: Shop) -> None:
    assert cli("migrate").code == 0  # tables of integrations too
    process = cli.start("work", "shop:app")
    await (await shop.greet.enqueue("Ada")).result(timeout=SOON)
    answer = cli("doctor")
    assert (answer.code, answer.out, answer.err) == (0, f"{len(SEVERITY)} checks well, 0 not.\n", "")
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0


async def test_a_worker_that_was_killed_is_missed_by_the_jobs_of_its_queue(cli: Program, shop: Shop) -> None:
    process = cli.start("work", "shop:app", environ={"LAMPLIGHTER_LEASE": "1s"})
    await (await shop.greet.enqueue("Ada")).result(timeout=SOON)
    process.kill()
    end(process)
    await shop.greet.enqueue("Bea")
    says = until_found(cli, "no-worker")
    assert says.startswith("1 job waits in queue default, and no living worker serves it (the last, on ")
    assert f"with pid {process.pid}, has been silent for " in says
    assert "start one with `lamplighter work MODULE:APP --queue default`." in says
    line = cli("doctor").out.splitlines()[0]
    assert line.startswith("no-worker (critical): ")


async def test_a_queue_whose_workers_are_busy_says_so(cli: Program, shop: Shop, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / GATE)
    process = cli.start("work", "shop:app", "--concurrency", "1", environ={"LAMPLIGHTER_LEASE": "1s"})
    running = await shop.wait.enqueue()
    read_until(process, "a job has begun")
    now = utcnow()
    await shop.app.store.add([_due(now - timedelta(minutes=11 + n), now) for n in range(3)], now=now)
    full = until_found(cli, "oldest-waiting", "slots")
    assert re.match(r"3 jobs wait in queue slow, the oldest for \d+m: all 1 slots of its workers are taken", full)
    await shop.app.store.cancel(Where(queues=("slow",), states=(State.QUEUED,)), limit=10, now=now)
    await asyncio.to_thread((tmp_path / GATE).write_text, "done")
    await running.result(timeout=SOON)
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0


async def test_providers_that_do_not_answer_are_named(cli: Program, settled: Path) -> None:
    process = cli.start("work", "vault_app:app")
    says = until_found(cli, "breaker-open")
    assert "does not answer and is left alone, one request tries again " in says
    lapsing = found(cli)["tokens-about-to-lapse"]
    assert "have an access token that lapses within 2 minutes, and their refresh is late: see no-worker" in lapsing
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0


async def test_keys_that_are_gone_or_others_are_named(cli: Program, settled: Path) -> None:
    key = (settled / "lamplighter.key").read_text()
    os.chmod(settled / "lamplighter.key", 0o644)
    assert found(cli)["permissions"].endswith(f"others may use it: `chmod 600 {settled}/lamplighter.key`.")
    (settled / "lamplighter.key").unlink()
    assert "lamplighter.key is not there, but at least 28 secrets are stored under a key: put" in found(cli)["keys"]
    assert not (settled / "lamplighter.key").exists(), "looking makes none"
    other = found(cli, LAMPLIGHTER_ENCRYPTION_KEYS=new_key())["keys"]
    assert other.startswith("28 of 28 stored secrets do not open: a stored value needs the vault key ")
    assert "keys" not in found(cli, LAMPLIGHTER_ENCRYPTION_KEYS=f"{new_key()},{key}")
    assert "production mode needs a vault key" in found(cli, LAMPLIGHTER_MODE="production")["keys"]


async def test_a_key_of_a_program_that_is_over_is_named(cli: Program, shop: Shop) -> None:
    past = Keys(shop.app.store, clock=lambda: utcnow() - timedelta(days=2))
    over = await past.make("prometheus", Role.VIEWER, life=timedelta(days=1))
    soon = await past.make("shop", Role.OPERATOR, life=timedelta(days=3))
    await past.make("for long", Role.VIEWER, life=timedelta(days=300))
    says = found(cli)["api-keys"]
    assert f"API key {over.key.id} (prometheus) expired 24h ago: make another" in says
    assert f"API key {soon.key.id} (shop) expires in " in says
    assert "for long" not in says
    assert over.text.reveal() not in says


def test_a_store_that_does_not_answer_is_a_finding_without_its_password(cli: Program) -> None:
    answer = cli("doctor", "--store", "postgresql://shop:hunter2@127.0.0.1:9/shop")
    assert (answer.code, answer.err) == (1, "")
    assert answer.out.startswith("store-trouble (critical): the database postgresql://shop@127.0.0.1:9/shop ")
    assert "hunter2" not in answer.out
    assert "Not looked at, for it is not in use or out of reach: no-worker, " in answer.out


def test_a_store_that_is_not_there_is_not_made(cli: Program) -> None:
    assert "there is nothing of Lamplighter in the database file" in found(cli)["schema"]
    assert list(cli.folder.iterdir()) == []


def test_a_store_that_ends_with_its_process_is_refused(cli: Program) -> None:
    assert cli("doctor", "--store", "memory://").code == 2


def _due(run_at: datetime, now: datetime) -> NewJob:
    return NewJob(id=new_id(to_us(now)), name="wait", queue="slow", run_at=run_at, created_at=run_at)
