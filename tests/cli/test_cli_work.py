from __future__ import annotations

import os
import signal

import pytest
from tests.cli.program import Program, end, read_until
from tests.cli.shop import GATE, Shop


async def test_until_idle_runs_what_is_due_and_ends(cli: Program, shop: Shop) -> None:
    await shop.greet.enqueue("Ada")
    await shop.charge.enqueue("4111")
    answer = cli("work", "shop:app", "--until-idle")
    assert answer.code == 0
    first, last = answer.out.splitlines()
    assert first == f"Working on sqlite:///{cli.folder}/shop.db: 100 at once, all queues. Ctrl-C drains and stops."
    assert last == "Stopped: 1 job done, 1 failed, 0 cancelled, 0 attempts to be repeated."
    assert cli("work", "shop:app", "--until-idle", "--json").json == {
        "done": 0,
        "failed": 0,
        "retried": 0,
        "cancelled": 0,
    }


async def test_only_the_queues_that_are_named_are_worked_on(cli: Program, shop: Shop) -> None:
    await shop.greet.enqueue("Ada")
    await shop.charge.enqueue("4111")
    answer = cli("work", "shop:app", "--until-idle", "-q", "money", "--json").json
    assert (answer["done"], answer["failed"]) == (0, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_jobs_finish_and_ends_with_0(
    cli: Program, shop: Shop, number: signal.Signals
) -> None:
    os.mkfifo(cli.folder / GATE)
    running = await shop.wait.enqueue()
    worker = cli.start("work", "shop:app", "--concurrency", "1")
    read_until(worker, "a job has begun")
    left = await shop.wait.enqueue()
    worker.send_signal(number)
    (cli.folder / GATE).write_text("open")  # returns once the job reads
    answer = end(worker)
    assert answer.code == 0
    assert "Traceback" not in answer.err
    assert await running.result(timeout=10) == "open"
    assert cli("jobs", "show", left.id, "--json").json["state"] in {"queued", "running", "done"}


async def test_what_the_app_says_of_itself_holds_where_no_flag_says_otherwise(cli: Program, shop: Shop) -> None:
    (cli.folder / "own.py").write_text(
        "from lamplighter import App\n"
        "from lamplighter.core.config import Settings\n"
        "app = App(settings=Settings(store='sqlite:///own.db', concurrency=7, queues=('mail',)))\n"
    )
    assert "7 at once, mail." in cli("work", "own:app", "--until-idle").out
    assert "2 at once, sms." in cli("work", "own:app", "--until-idle", "-c", "2", "-q", "sms").out


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("shop", "'shop' is not MODULE:APP: write for example shop.jobs:app."),
        ("shop:ap", "shop has no app 'ap': did you mean shop:app?"),
        ("shop:GATE", "shop has no app 'GATE': did you mean shop:app?"),
        ("shpo:app", "there is no module 'shpo' here: did you mean shop:app?"),
        ("shop.py:app", "there is no module 'shop.py' here: did you mean shop:app?"),
        ("a.b:app", "there is no module 'a.b' here: run this in the folder that it can be imported from."),
    ],
)
async def test_an_app_that_is_not_there_is_one_sentence(cli: Program, shop: Shop, target: str, sentence: str) -> None:
    answer = cli("work", target, "--json")
    assert (answer.code, answer.sentence) == (2, sentence)
    assert answer.json == {"error": sentence}


def test_an_error_inside_the_module_is_shown_as_it_is(cli: Program) -> None:
    (cli.folder / "broken.py").write_text("import no_such_package\n")
    answer = cli("work", "broken:app", "--json")
    assert answer.code == 1
    assert 'broken.py", line 1' in answer.err
    assert answer.err.splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_package'"
    assert answer.json == {"error": "ModuleNotFoundError: No module named 'no_such_package'"}
