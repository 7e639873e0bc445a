"""The rules and the dashboard that ship speak of metrics that there are, and fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.observe.grafana import DASHBOARD, SHIPPED, text
from tests.observe.metric_rows import PAGE
from tests.services import do_without

from lamplighter.families.doctor.finding import ALERTS
from lamplighter.testing.servers import MissingServer
from lamplighter.testing.servers.base import find

ROOT = Path(__file__).parents[2]
RULES = SHIPPED / "rules.yml"
UNIT_TESTS = Path(__file__).with_name("rules_test.yml")
NAMED = re.compile(r"(?<![:\w])lamplighter_[a-z_]+(?![:\w])")


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return find("promtool", install="prometheus, for example by `apt-get install prometheus`")
    except MissingServer as error:
        do_without(error)


def known() -> set[str]:
    """The names that series have."""
    found = re.findall(r"`(lamplighter_[a-z_]+)` \| (\w+)", PAGE.read_text())
    return {f"{name}_bucket" if kind == "histogram" else name for name, kind in found}


def test_rules_fire_when_they_should(promtool: Path, tmp_path: Path) -> None:
    for file in (RULES, UNIT_TESTS):
        shutil.copy(file, tmp_path)
    ran = subprocess.run(
        [promtool, "test", "rules", UNIT_TESTS.name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_rule_is_a_sound_one(promtool: Path) -> None:
    ran = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_rules_name_metrics_that_there_are() -> None:
    written = "\n".join(
        line for line in RULES.read_text().splitlines() if not line.lstrip().startswith(("#", "- name"))
    )
    named = set(NAMED.findall(re.sub(r"lamplighter_\w+:\w+|\w+:lamplighter_\w+(:\w+)?", "", written)))
    assert named
    assert named <= known()


def test_what_rules_record_is_what_alerts_read() -> None:
    written = RULES.read_text()
    recorded = set(re.findall(r"- record: (\S+)", written))
    alerts = written.partition("- name: lamplighter\n")[2]
    assert {name for name in recorded if name in alerts} == recorded
    assert set(re.findall(r"\w*lamplighter_\w+:\w+|\w+:lamplighter_\w+:\w+", alerts)) <= recorded


def test_there_is_a_rule_and_a_unit_test_for_each_alert_as_severe_as_it_is() -> None:
    rules = RULES.read_text().split("- alert: ")[1:]
    told = {(rule.split()[0], severity) for rule in rules for severity in re.findall(r"severity: (\w+)", rule)}
    assert told == set(ALERTS.items())
    assert set(re.findall(r"alertname: ([a-z-]+)", UNIT_TESTS.read_text())) == set(ALERTS)


def test_every_rule_leads_to_its_runbook() -> None:
    for rule in RULES.read_text().split("- alert: ")[1:]:
        [page] = re.findall(r"runbook: (\S+)", rule)
        assert page == f"docs/runbooks/{rule.split()[0]}.md"
        assert (ROOT / page).exists()


def test_the_alertmanager_example_names_alerts_that_there_are() -> None:
    lists = re.findall(r'alertname=~?"([^"]+)"', (SHIPPED / "alertmanager.yml").read_text())
    assert {name for names in lists for name in names.split("|")} <= ALERTS.keys()


def test_the_dashboard_is_that_of_the_registry() -> None:
    assert DASHBOARD.read_text() == text(), "run `python -m tests.observe.grafana`"


def test_the_dashboard_shows_every_metric_once_and_no_two_panels_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [{*NAMED.findall(target["expr"])} for panel in panels for target in panel.get("targets", ())]
    assert set().union(*shown) == known()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_prometheus_understands_every_query_of_the_dashboard(promtool: Path, tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = [
        {"record": f"dashboard:{n}", "expr": query.replace("$__rate_interval", "1m")} for n, query in enumerate(queries)
    ]
    (tmp_path / "all.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    ran = subprocess.run(
        [promtool, "check", "rules", tmp_path / "all.yml"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
