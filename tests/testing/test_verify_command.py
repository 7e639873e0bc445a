"""`lamplighter verify` as a person and a script would call it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import Program

from lamplighter.cli.main import cli as commands
from lamplighter.testing.verify import Plan, Report
from lamplighter.testing.verify.recovery import Recovery

BROKEN = Report(
    store="sqlite",
    seed=3,
    jobs=10,
    enqueued=12,
    lost=1,
    lost_with_the_last_moments=2,
    doubled=5,
    doubled_without_cause=1,
    doubled_by_stalls=1,
    stuck=0,
    false_dead_letters=0,
    leftovers=0,
    faults=[Recovery(kind="kill", injected=2, running=7, doubled=4, median_s=2.0, max_s=2.5)],
    left_out={"cut": "there is no network"},
    counts={"lost": 1, "doubled without cause": 1, "zombies": 0},
    broken={"lost": ["j1 (short) was added and never ran to its end"]},
    says={"lost": "an acknowledged job runs to its end"},
    record="/tmp/record",
)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_a_script_gets_one_object_and_people_a_table(program: Program) -> None:
    options = (
        "verify",
        "--store",
        "sqlite:///here.db",
        "--jobs",
        "40",
        "--seed",
        "5",
        "--faults",
        "none",
        "--every",
        "1",
    )
    answer = program(*options, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    told = answer.json
    assert (told["lost"], told["stuck"], told["broken"], told["record"]) == (0, 0, {}, None)
    assert told["enqueued"] > 0
    assert list(program.folder.iterdir()) == []


def test_a_broken_promise_ends_with_one_and_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(plan: Plan, **how: Any) -> Report:
        assert (plan.store, plan.jobs, plan.seed) == ("sqlite", 10, 3)
        how["say"]("10 jobs in a new file.")
        how["step"]("faults", 1, 10)
        return BROKEN

    monkeypatch.setattr("lamplighter.testing.verify.verify", run)
    code = commands(["verify", "--store", "sqlite", "--jobs", "10", "--seed", "3"], standalone_mode=False)
    told = capsys.readouterr().out
    assert code == 1
    assert told.startswith("10 jobs in a new file.\n")
    for line in (
        "lost with the server's last second      2",
        "effects twice, by a fault               4",
        "kill          2            7              4  2.00                2.50",
        "Left out: cut, for there is no network.",
        "Broken: 1 promise. To repeat it: --seed 3.",
        "lost (1): an acknowledged job runs to its end",
        "  j1 (short) was added and never ran to its end",
        "What every process wrote is kept in /tmp/record.",
    ):
        assert line in told


def test_a_run_that_is_ended_early_leaves_nothing_behind(program: Program) -> None:
    folder = program.folder / "tmp"
    folder.mkdir()
    running = program.start("verify", "--store", "sqlite:///here.db", "--jobs", "9000", environ={"TMPDIR": str(folder)})
    assert running.stdout is not None
    assert "9,000 jobs, 3 workers" in running.stdout.readline()
    while not list(folder.glob("*/e*.lines")):  # until jobs are added
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (1, "", "")
    assert [path.name for path in program.folder.iterdir()] == ["tmp"]
    assert list(folder.iterdir()) == []


def test_what_cannot_be_is_one_sentence(program: Program) -> None:
    answer = program("verify", "--store", "sqlite", "--faults", "kil")
    assert answer.code == 2
    assert answer.sentence == "there is no fault 'kil': did you mean 'kill'?"
