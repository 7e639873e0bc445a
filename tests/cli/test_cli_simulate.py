"""`lamplighter simulate` as an operator and a script would call it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop
from tests.cli.test_cli_extras import INTEGRATIONS, without

from lamplighter.capacity import Crowd, Plan, simulate
from lamplighter.capacity.advice import Advice
from lamplighter.capacity.report import Report
from lamplighter.cli.simulated import tell

FEW = ("--integrations", "1000", "--provider", "gdrive", "--for", "3h", "--rehearse", "50")
MANY = ("--integrations", "600000", "--provider", "gdrive:quota=500", "--for", "3h", "--rehearse", "0")


def test_people_are_told_in_tables_and_lines_of_blocks(cli: Program) -> None:
    told = cli("simulate", *FEW)
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert lines[0] == (
        "1,000 integrations for 3h, connected at once with new tokens. "
        "1 worker, 100 jobs at once in each, 0.3s a refresh."
    )
    [row] = [line.split() for line in lines if line.startswith("gdrive  ") and "█" not in line and "(" not in line]
    assert row[:7] == ["gdrive", "1,000", "3,000", "0.31", "17", "42", "+0:53"]
    assert sum("█" in line for line in lines) == 2
    assert "gdrive: nothing needs to change: 17/s in its busiest second, none late." in lines
    assert any(line.startswith("Rehearsed: 50 integrations through 1 real worker for 132m") for line in lines)


def test_programs_get_all_figures_and_the_curve(cli: Program) -> None:
    told = cli("simulate", *FEW, "--json")
    assert told.code == 0
    assert told.json["good"] is True
    assert told.json["plan"]["crowds"][0]["lifetime"] == 3600
    [figures] = told.json["providers"]
    assert figures["refreshes"] == pytest.approx(3000)
    assert (told.json["stretch"], len(told.json["peak_per_s"]["gdrive"])) == (60, 180)
    [advice] = told.json["advice"]
    assert [option["what"] for option in advice["options"]][:3] == ["no limit and no jitter", "no limit", "as planned"]
    assert told.json["rehearsal"]["parts"][0]["refreshes"] == 100
    assert "schedules" not in told.json


def test_the_same_seed_gives_the_same_bytes(cli: Program) -> None:
    first, second = (cli("simulate", *FEW, "--seed", "7", "--svg", f"{n}.svg", "--json") for n in (1, 2))
    assert first.out == second.out
    assert (cli.folder / "1.svg").read_bytes() == (cli.folder / "2.svg").read_bytes()


def test_tokens_that_would_run_out_end_with_1_and_advice(cli: Program) -> None:
    told = cli("simulate", *MANY)
    assert told.code == 1
    assert "Set max_per_second to 500, and max_concurrency and the worker's concurrency to 225 or more" in told.out
    assert "Rehearsed" not in told.out


def test_a_drawing_is_an_svg_file(cli: Program) -> None:
    told = cli("simulate", *FEW, "--svg", "load.svg")
    assert told.code == 0
    root = ET.parse(cli.folder / "load.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "seconds" in "".join(root.itertext())


async def test_the_schedules_of_an_app_are_counted_and_nothing_is_opened(cli: Program, shop: Shop) -> None:
    told = cli("simulate", "shop:app", "--start", "2032-01-01", "--for", "60d")
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[0] == "1 schedule, 1 job in 1,440 hours from 2032-01-01 00:00 UTC."
    assert "leap days  0 7 29 2 * Europe/Berlin  greet" in told.out
    assert "integrations" not in told.out


def test_an_app_and_integrations_are_told_together(cli: Program) -> None:
    (cli.folder / "many.py").write_text(
        "from datetime import timedelta\nfrom lamplighter import App\n"
        "app = App('sqlite:///nowhere/never.db')\n"
        "@app.job()\nasync def work(ctx): raise AssertionError\n"
        "app.cron('0 3 * * *', work.draft(), name='nightly')\n"
        "app.every(timedelta(minutes=1), work.draft(), name='often')\n"
    )
    told = cli("simulate", "many:app", *FEW, "--start", "2030-01-01T02:00", "--json")
    assert told.code == 0
    [pile] = told.json["schedules"]["piles"]
    assert (pile["schedules"], pile["times"], pile["first"]) == (["nightly", "often"], 1, "2030-01-01T03:00:00Z")
    assert told.json["schedules"]["per_hour"] == [60, 61, 60]
    assert told.json["good"] is True
    assert "nightly, often" in cli("simulate", "many:app", *FEW, "--start", "2030-01-01T02:00").out


def test_a_file_and_flags_make_one_plan(cli: Program) -> None:
    (cli.folder / "p.toml").write_text("integrations = 500\nworkers = 2\n[providers.gdrive]\nlimit = 9\n")
    plan = cli("simulate", "--population", "p.toml", "--workers", "3", *FEW[-4:], "--json").json["plan"]
    assert (plan["workers"], plan["crowds"][0]["integrations"], plan["crowds"][0]["limit"]) == (3, 500, 9)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--provider gdrive:lifetme=1h", "provider gdrive has no 'lifetme': did you mean 'lifetime'?"),
        ("--integrations 0", "integrations of a plan cannot be '0': give a whole number from 1 to 100000000."),
        ("--for soon", "duration of a plan cannot be 'soon': give a duration from 1m to 366d"),
        ("--start tomorrow", "--start 'tomorrow' is no date: write for example 2030-01-31 or 2030-01-31T18:00."),
        ("--population nowhere.toml", "cannot read the population file nowhere.toml"),
        ("--for 1h --rehearse 0 --integrations 9 --svg no/where.svg", "cannot write no/where.svg"),
        ("nowhere:app", "there is no module 'nowhere' here"),
        ("--rehearse 99999", "--rehearse is not usable: give a number from 0 to 20,000."),
        ("--integration 5", "there is no option --integration: did you mean --integrations?"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_code_2(cli: Program, line: str, sentence: str) -> None:
    answer = cli("simulate", *line.split())
    assert answer.code == 2
    assert answer.sentence.startswith(sentence)


def test_without_the_extra_all_but_the_rehearsal_is_there(cli: Program) -> None:
    told = cli("simulate", *FEW, environ=without(cli, INTEGRATIONS))
    assert told.code == 0
    assert told.out.splitlines()[-1].startswith("Left out: the rehearsal, which needs `pip install")
    assert "nothing needs to change" in told.out


def test_too_few_slots_are_told(capsys: Any) -> None:
    load = simulate(Plan(crowds=(Crowd(slug="gdrive", integrations=10),), duration=timedelta(hours=1)))
    advice = Advice(provider="gdrive", options=(), says="gdrive: so.")
    tell(Report(load=load, advice=(advice,), slots_advice="All providers together need more."))
    assert capsys.readouterr().out.endswith("gdrive: so.\nAll providers together need more.\n")
