"""The bench beside peers: a small run of it on our own adapter, its arithmetic, and the docs that show its figures.

The peers themselves are installed by the bench alone, which is run by hand.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench.peers import __main__ as program
from bench.peers import page
from bench.peers.adapter import RECORD, Began, Records, adapter
from bench.peers.environments import CannotRun
from bench.peers.figures import KINDS, RATES, WAITS, Results, Row, Spread, spread, times_better, written
from bench.peers.measuring import Plan, percentile, rate_of
from bench.peers.rounds import run, turns
from bench.peers.subjects import HERE, SUBJECTS, Subject, place
from bench.results_file import read

from lamplighter.core.errors import LamplighterError

OURS = next(one for one in SUBJECTS if one.ours and one.store == "sqlite")
SMALL = Plan(jobs=60, seconds=2, concurrency=10, pickups=4)
DRAIN, LATE = RATES[3], WAITS[2]


def row(key: str, *rounds: dict[str, float], ours: bool = False, failed: str | None = None) -> Row:
    return Row(key=key, label=key.title(), store="redis", setup="-", ours=ours, rounds=list(rounds), failed=failed)


def results(*rows: Row) -> Results:
    plan = {"rounds": 2.0, "jobs": 60.0, "seconds": 2.0}
    return Results(measured="2026-01-01", machine={"": "2 cores"}, plan=plan, rows=list(rows))


@pytest.mark.timeout(300)
def test_our_own_adapter_gives_every_figure_and_a_peer_that_ends_says_its_last_words() -> None:
    broken = Subject("broken", "Broken", "sqlite", "nowhere", "", "-")
    seen = []
    measured = run([OURS, broken], 1, SMALL, lambda what, _done, _total: seen.append(what))
    ours, other = measured.rows
    assert seen[-2:] == ["round 1: lamplighter-sqlite", "round 1: broken"]
    assert ours.failed is None
    assert [kind.key for kind in KINDS if not ours.values(kind)] == []
    assert all(ours.values(kind)[0] > 0 for kind in (*RATES, WAITS[0], WAITS[3]))
    assert ours.rounds[0]["due_jobs"] == SMALL.jobs
    assert (other.rounds, other.ran) == ([{}], False)
    assert other.failed is not None
    assert "No module named bench.peers.adapters.nowhere" in other.failed


def test_an_adapter_ends_with_all_its_children(tmp_path: Path) -> None:
    script = (
        "import json, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(json.dumps({'child': child.pid}), flush=True)\n"
        "sys.stdin.read()"
    )
    with adapter([sys.executable, "-c", script], "memory://", tmp_path / "began", {}) as started:
        child = os.pidfd_open(started.hello["child"])
    try:
        assert select.select([child], [], [], 30)[0], "it lives on"
    finally:
        os.close(child)


def test_an_adapter_that_has_ended_is_no_riddle(tmp_path: Path) -> None:
    script = "import sys; print('{}', flush=True); sys.stdin.readline(); sys.exit('out of paper')"
    with (
        adapter([sys.executable, "-c", script], "memory://", tmp_path / "began", {}) as started,
        pytest.raises(CannotRun, match="it ended; it said: out of paper"),
    ):
        started.tell("bulk", jobs=1)


def test_records_are_read_in_the_order_in_which_jobs_began(tmp_path: Path) -> None:
    records = Records(tmp_path / "began")
    for number in (3.0, 1.0, 2.0):
        with records.path.open("ab") as file:
            file.write(RECORD.pack(0.0, number))
    assert records.count() == 3
    assert [one.at for one in records.since(0)] == [1, 2, 3]
    assert [one.at for one in records.since(1)] == [1, 2]
    assert records.wait_for(3, 0)
    assert not records.wait_for(4, 0)


def test_a_rate_is_counted_from_the_first_job_to_the_last() -> None:
    assert rate_of([Began(0, at) for at in (10.0, 10.5, 11.0)]) == 2
    with pytest.raises(CannotRun, match="a single job"):
        rate_of([Began(0, 10.0)])


def test_percentiles_are_of_what_was_seen() -> None:
    assert percentile([float(n) for n in range(101)], 99) == 99
    assert percentile([7.0], 99) == 7


def test_ratios_are_of_the_same_round_and_more_than_one_is_better_for_us() -> None:
    ours = row("ours", {DRAIN.key: 300, LATE.key: 0.0}, {}, {DRAIN.key: 100, LATE.key: 0.004}, ours=True)
    peer = row("peer", {DRAIN.key: 100, LATE.key: 0.002}, {DRAIN.key: 1}, {DRAIN.key: 200, LATE.key: 0.002})
    assert times_better(DRAIN, ours, peer) == Spread(1.75, 0.5, 3)
    assert times_better(LATE, ours, peer) == Spread(1.25, 0.5, 2)  # less than a millisecond counts as one
    assert times_better(LATE, ours, row("early", {LATE.key: -0.2})) == Spread(200, 200, 200)  # too early is no better
    assert times_better(RATES[2], ours, peer) is None
    assert spread([]) is None


def test_every_other_round_goes_the_other_way_and_nobody_is_left_out() -> None:
    orders = [turns(SUBJECTS, number) for number in range(3)]
    assert all(sorted(order) == sorted(SUBJECTS) for order in orders)
    assert len({order[0].key for order in orders}) == 3
    assert turns([], 2) == []


def test_a_table_shows_what_a_peer_does_better_and_why_one_has_no_figures() -> None:
    shown = page.tables(
        results(
            row("ours", {DRAIN.key: 1234}, {DRAIN.key: 1250}, ours=True),
            row("fast", {DRAIN.key: 2468}, {DRAIN.key: 2500}),
            row("gone", {}, {}, failed="it ended."),
        )
    )
    assert "| **Ours** | - | - | - | 1,242 (1,234..1,250) | - |" in shown
    assert "| Fast | - | - | - | 2,484 · 0.5x (0.5..0.5) | - |" in shown
    assert "| Gone | - |" not in shown.partition("### How")[0]
    assert "Gone could not be measured at all: it ended." in shown


def test_figures_survive_being_written_and_drawn(tmp_path: Path) -> None:
    before = results(row("ours <1>", {DRAIN.key: 1234.0}, ours=True))
    (tmp_path / "figures.json").write_bytes(written(before))
    after = read(tmp_path / "figures.json", Results)
    assert after == before
    labels = [text.text for text in ET.fromstring(page.drawing(after)).iter() if text.tag.endswith("text")]
    assert labels == ["Redis: drain, jobs/s", "Ours <1>", "1,234"]
    assert "stale" not in page.page(after, "\nstale\n".join(page.marks(page.COMMAND)))
    with pytest.raises(LamplighterError, match="measure first"):
        read(tmp_path / "none.json", Results)
    (tmp_path / "figures.json").write_text("{}")
    with pytest.raises(LamplighterError, match="measure again"):
        read(tmp_path / "figures.json", Results)


def test_the_docs_show_what_was_measured() -> None:
    shown = page.PAGE.read_text()
    if not page.DATA.exists():  # figures come from a quiet machine; until then the page shows none
        assert "\n".join(page.marks(page.COMMAND)) in shown
        return
    measured = read(page.DATA, Results)
    assert page.page(measured, shown) == shown
    assert page.DRAWING.read_text() == page.drawing(measured)
    assert {one.key for one in measured.rows} == {one.key for one in SUBJECTS}


def test_each_subject_has_an_adapter_and_a_locked_environment() -> None:
    assert len({one.key for one in SUBJECTS}) == len(SUBJECTS)
    for one in SUBJECTS:
        assert (HERE / "adapters" / f"{one.adapter}{'.mjs' if one.environment == 'node' else '.py'}").exists()
        if one.environment:
            lock = "package-lock.json" if one.environment == "node" else "requirements.txt"
            assert place(one.environment).with_name(lock).exists()


def test_who_is_asked_for_is_held_against_us_on_each_of_its_stores() -> None:
    assert [one.key for one in program.chosen(["huey-sqlite"], [])] == ["lamplighter-sqlite", "huey-sqlite"]
    assert {one.store for one in program.chosen([], ["postgresql"])} == {"postgresql"}
    assert program.chosen([], []) == list(SUBJECTS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rounds", "0"], "argument --rounds: give 1 or more"),
        (["--jobs", "-1"], "argument --jobs: give 1 or more"),
        (["--seconds", "0"], "argument --seconds: give 1 to 600"),
        (["--only", "nobody"], "invalid choice: 'nobody'"),
        (["--docs", "--store", "redis"], "leave out --only and --store"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", *arguments])
    with pytest.raises(SystemExit):
        program.main()
    assert says in capsys.readouterr().err
