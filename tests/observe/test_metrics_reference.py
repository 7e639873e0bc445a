"""The metrics are those of the reference, and named as Prometheus wants it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.observe.metric_rows import EVERYTHING, OUTCOMES, PAGE, text
from tests.services import do_without

from lamplighter.integrations.refreshing.counted import _OUTCOMES
from lamplighter.observe import families
from lamplighter.observe.meter import Meter
from lamplighter.testing.servers import MissingServer
from lamplighter.testing.servers.base import find

HOWTO = PAGE.parents[1] / "howto/watch-with-prometheus.md"


def test_the_reference_has_every_metric_as_it_is() -> None:
    assert PAGE.read_text() == text()


def test_every_outcome_of_a_refresh_is_in_the_reference() -> None:
    assert {outcome for _, outcome in _OUTCOMES} < OUTCOMES.keys()


def test_names_keep_to_the_conventions() -> None:
    for metric in (*families.of_process(Meter(tenants=1)), *families.of_store(EVERYTHING)):
        assert re.fullmatch(r"lamplighter_[a-z_]+", metric.name)
        assert not re.search(r"_(ms|milliseconds|minutes|count|sum|bucket|total)$", metric.name), metric.name
        if metric.type == "histogram":
            assert metric.name.endswith("_seconds")


def test_the_queries_of_the_howto_name_metrics_that_there_are() -> None:
    named = set(re.findall(r"lamplighter_[a-z_]+", HOWTO.read_text()))
    known = set(re.findall(r"`(lamplighter_[a-z_]+)`", PAGE.read_text()))
    assert {name.removesuffix("_bucket") for name in named} <= known


def test_prometheus_takes_the_scrape_configuration_of_the_howto(tmp_path: Path) -> None:
    try:
        promtool = find("promtool", install="prometheus, for example by `apt-get install prometheus`")
    except MissingServer as error:
        do_without(error)
    [block] = re.findall(r"```yaml\n(.*?)```", HOWTO.read_text(), re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(block)
    checked = subprocess.run(
        [promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
