from __future__ import annotations

import pytest
from tests.cli.program import Program
from tests.services import STORES

from lamplighter.cli.measure import percentile

FIGURES = {
    "enqueue": ["one_by_one_per_s", "side_by_side_per_s", "bulk_per_s", "drain_per_s"],
    "drain": ["bulk_per_s", "drain_per_s"],
    "burst": ["burst_first_late_s", "burst_last_late_s"],
    "pickup": ["pickup_p50_ms", "pickup_p99_ms"],
}


@pytest.mark.parametrize("only", FIGURES)
def test_one_figure_is_measured_alone_and_leaves_nothing_queued(cli: Program, only: str) -> None:
    answer = cli("bench", "--store", "sqlite:///bench.db", "--jobs", "20", "--only", only, "--json")
    assert (answer.code, answer.err) == (0, "")
    told = answer.json
    assert (told.pop("store"), told.pop("jobs"), told.pop("concurrency")) == ("sqlite:///bench.db", 20, 100)
    assert list(told) == [*FIGURES[only], "memory_mb"]
    assert all(value > 0 for name, value in told.items() if "late" not in name)  # a burst may begin to the millisecond
    [queue] = cli("queues", "--store", "sqlite:///bench.db", "--json").json["queues"]
    assert queue["done"] >= 20
    assert queue["queued"] == queue["scheduled"] == queue["running"] == 0


def test_everything_is_told_to_people_in_a_table(cli: Program) -> None:
    told = cli("bench", "--store", "sqlite:///bench.db", "--jobs", "1")
    assert told.code == 0
    assert told.out.startswith("1 no-op job, 100 at once, on sqlite:///bench.db\n")
    for label in ("enqueue one by one, jobs/s", "pickup by another process, p99 ms", "memory of this process, MB"):
        assert label in told.out


def test_memory_is_measured_too(cli: Program) -> None:
    told = cli("bench", "--store", "memory://", "--jobs", "20", "--only", "drain", "--only", "pickup", "--json").json
    assert told["drain_per_s"] > 0
    assert "pickup_p50_ms" not in told  # no other process sees it


def test_what_cannot_be_measured_is_refused(cli: Program) -> None:
    answer = cli("bench", "--only", "everything", "--json")
    assert answer.code == 2
    assert "'everything' is not one of 'enqueue', 'drain', 'burst', 'pickup'" in answer.sentence


def test_percentiles_of_one_value_are_that_value() -> None:
    assert percentile([3.0], 50) == percentile([3.0], 99) == 3.0
    assert percentile([float(n) for n in range(101)], 99) == 99


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
def test_fairness_is_measured_and_holds(cli: Program, kind: str, request: pytest.FixtureRequest) -> None:
    url = str(request.getfixturevalue(STORES[kind]))
    sizes = ("--backlog", "1000", "--claims", "1000", "--jobs", "100", "--workers", "4")
    answer = cli("bench", "fairness", "--store", url, *sizes, "--json")
    assert answer.code == 0, answer.err
    told = answer.json
    assert told["first_turn_claims"] == 1
    assert told["worst_share_percent"] <= 10
    assert 0 < told["most_together"] <= 5
    assert 0 < told["most_in_a_second"] <= 100
    [queue] = cli("queues", "--store", url, "--json").json["queues"]
    assert queue["queued"] == queue["scheduled"] == queue["running"] == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_refreshes_are_measured_beside_the_http_client_and_leave_nothing(
    cli: Program, kind: str, request: pytest.FixtureRequest
) -> None:
    url = "sqlite:///bench.db" if kind == "sqlite" else str(request.getfixturevalue(STORES[kind]))
    sizes = ("--refreshes", "20", "--rounds", "2", "--concurrency", "5")
    answer = cli("bench", "refresh", "--store", url, *sizes, "--json")
    assert (answer.code, answer.err) == (0, "")
    told = answer.json
    assert (told["refreshes"], told["rounds"], told["concurrency"]) == (20, 2, 5)
    assert told["whole_per_s"] > 0
    assert told["bare_per_s"] > 0
    assert told["endpoint_per_s"] > 0
    assert told["ratio"] > 0
    assert list(cli.folder.iterdir()) == []
    if kind == "postgres":
        assert cli("queues", "--store", url, "--json").code == 3  # the schema that the URL names was not made


def test_refreshes_are_told_to_people_in_a_table(cli: Program) -> None:
    told = cli("bench", "refresh", "--refreshes", "1", "--rounds", "1")
    assert told.code == 0, told.err
    assert told.out.startswith("1 round of 1 refresh, 100 at once, in sqlite:///lamplighter.db\n")
    assert "whole / bare" in told.out


@pytest.mark.parametrize("store", ["memory://", "redis://127.0.0.1:1", "mysql://host/db"])
def test_refreshes_are_measured_only_where_tokens_can_be(cli: Program, store: str) -> None:
    answer = cli("bench", "refresh", "--store", store, "--json")
    assert answer.code == 2
    assert answer.sentence == "tokens are kept in SQLite or PostgreSQL: name a store of one of them with --store."
