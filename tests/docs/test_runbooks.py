"""Every command of the runbooks is run where there is something of everything that they speak of."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.cli.program import PROGRAM, Answer, Program, end, environment, read_until
from tests.cli.shop import make
from tests.services import StartRedis

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.core.limit import Breaker
from lamplighter.demo.settle import settle
from lamplighter.demo.world import running_world
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import open_service
from lamplighter.web.roles import Role
from lamplighter.web.signin.keys import Keys

RUNBOOKS = Path(__file__).parents[2] / "docs/runbooks"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
ASKS = re.compile(r"lamplighter (doctor|migrate --check|jobs retry (?!.*--yes))")  # and may say no, with 1
SHELL = re.compile(r"^(?!lamplighter )|^lamplighter work |[|&;<>$*]")
SHOP = Path(__file__).parents[1] / "cli/shop.py"


class Line(NamedTuple):
    """A command, and the page that it is first on."""

    page: str
    command: str


def lines() -> list[Line]:
    """Each command once; what empties the store comes last."""
    found: dict[str, str] = {}
    for page in sorted(RUNBOOKS.glob("*.md"), key=lambda page: (page.name == "move-stores.md", page.name)):
        for block in BLOCK.findall(page.read_text()):
            for command in block.splitlines():
                found.setdefault(command, page.name)
    return [Line(page, command) for command, page in found.items()]


@pytest.fixture
async def words(tmp_path: Path) -> AsyncIterator[Mapping[str, str]]:
    """What words in capitals are to be replaced by, in a folder and a world where these are."""
    (tmp_path / "lamplighter.toml").write_text('store = "sqlite:///shop.db"\n')
    (tmp_path / "shop.py").write_text(SHOP.read_text())
    (tmp_path / "client-secret.txt").write_text("a new one")
    store = f"sqlite:///{tmp_path}/shop.db"
    shop = make(store)
    shop.app.limit("provider", breaker=Breaker())
    async with running_world(faults=False, token_lifetime=3600) as world, shop.app:
        async with open_service(Settings(store=store), NoPlanner()) as service:
            [one, *_] = await settle(service, world.url)
        job = await shop.charge.enqueue("4111")
        await shop.app.work(until_idle=True)
        await shop.greet.enqueue("Ada")
        key = await Keys(shop.app.store, clock=utcnow).make("old", Role.VIEWER, life=timedelta(days=90))
        yield {
            "MODULE:APP": "shop:app",
            "QUEUE": "money",
            "JOB_ID": job.id,
            "JOB_NAME": "charge",
            "CRON": "'leap days'",
            "TENANT": one.tenant_id,
            "KEY": "provider:google",
            "KEY_ID": key.key.id,
            "PROVIDER": "gdrive",
            "CLIENT_ID": "client",
            "INTEGRATION_ID": one.id,
            "STORE_FILE": "shop.db",
            "STORE": "sqlite:///shop.db",
            "NEW_STORE": "sqlite:///new.db",
            "NAME": "prometheus",
        }


@pytest.mark.timeout(300)  # some seventy programs, one after the other
async def test_every_command_of_the_runbooks_does_what_it_is_there_for(
    tmp_path: Path, words: Mapping[str, str], postgres_url: str, start_redis: StartRedis
) -> None:
    cli = Program(tmp_path)
    worker = cli.start("work", "shop:app", "--queue", "nothing")
    read_until(worker, "Working on")
    [alive] = cli("workers", "--json").json["workers"]
    said = re.compile(rf"(?<![$\w])({'|'.join(sorted(words, key=len, reverse=True))}|WORKER)(?!\w)")
    known = {**words, "WORKER": alive["name"]}
    servers = {"DATABASE_URL": postgres_url, "REDIS_URL": start_redis().url}
    wrong = [
        f"{page}: {command}\n{trouble}"
        for page, command in lines()
        for trouble in run(said.sub(lambda word: known[word[0]], command), tmp_path, servers)
    ]
    assert not wrong, "\n\n".join(wrong)
    assert end(worker).code == 0, "a runbook drains it"


def run(command: str, folder: Path, servers: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a command, if something is."""
    answer = in_shell(command, folder, servers) if SHELL.search(command) else call(command, folder, servers)
    good = {0, 1} if ASKS.match(command) else {0}
    if answer.code not in good or "Error:" in answer.err or "Traceback" in answer.err:
        yield f"ended with {answer.code}: {answer.out}{answer.err}"


def call(command: str, folder: Path, servers: Mapping[str, str]) -> Answer:
    """One call of the program, and nothing for a shell to do."""
    return Program(folder)(*shlex.split(command)[1:], environ=servers)


def in_shell(command: str, folder: Path, servers: Mapping[str, str]) -> Answer:
    """As one types it. A worker is ended once it works."""
    path = f"{Path(PROGRAM).parent}:{environment()['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}" if command.startswith("lamplighter work ") else command],
        cwd=folder,
        env={**environment(), **servers, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if command.startswith("lamplighter work "):
        read_until(process, "Working on")
        process.send_signal(signal.SIGTERM)
    return end(process)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.name)
def test_a_runbook_is_a_page(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) <= 80
    if page.name not in {"README.md", "set-up.md", "drill.md"}:
        assert re.search(r"^(## Over when$|\*\*Done when\*\*)", text, re.MULTILINE), "how one knows that it is over"
    assert page.name in (RUNBOOKS / "README.md").read_text() or page.name == "README.md"
