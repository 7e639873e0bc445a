"""The rules as files say them, and what each kind finds bad in a sight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.families.alert_rows import PAGE, rows

from lamplighter.app.why.sight import WorkerSeen
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.flow_control import GateState, GateView
from lamplighter.core.limit import gate_rule
from lamplighter.core.model import QueueStats
from lamplighter.engine.lease import Presence
from lamplighter.families.alerting.kinds import AnyRule, Bad
from lamplighter.families.alerting.rules import KINDS, rules_in_force, runbook_of, shipped
from lamplighter.families.alerting.sight import Answering, Disk, Seen
from lamplighter.families.doctor.finding import ALERTS
from lamplighter.observe.history.slot import Tally

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = {one.name: one for one in rules_in_force(Settings())}
MINUTES = {n: timedelta(minutes=n) for n in (2, 5, 10, 60)}


def worker(*queues: str, beat_at: datetime = NOW, stopping: bool = False) -> WorkerSeen:
    at = beat_at.isoformat()
    told = Presence(
        host="h",
        pid=1,
        started_at=at,
        beat_at=at,
        claimed_at=at,
        queues=queues,
        concurrency=1,
        running=0,
        stopping=stopping,
    )
    return WorkerSeen("w", told, beat_at, beat_at, timedelta(seconds=30))


def gate(key: str, state: GateState) -> GateView:
    return GateView(
        key=key,
        rule=gate_rule("p", running=1, rate=None, breaker=None),
        state=state,
        running=0,
        waiting=3,
        opens_at=None,
        openings=1,
        held=False,
        oks=0,
        bads=1,
    )


def past(**tallies: Tally) -> Seen:
    """The same within every time."""
    return Seen(now=NOW, past=dict.fromkeys(MINUTES.values(), tallies))


def stats(queue: str, **more: Any) -> QueueStats:
    return QueueStats(queue=queue, paused=False, **more)


def subjects(rule: str, seen: Seen) -> list[str] | None:
    found = RULES[rule].bad(seen)
    return None if found is None else [one.subject for one in found]


def in_file(path: Path, text: str) -> dict[str, AnyRule]:
    (path / "alerts.toml").write_text(text)
    return {one.name: one for one in rules_in_force(Settings(alerts_rules=path / "alerts.toml"))}


def test_these_rules_ship() -> None:
    assert set(shipped()) == set(RULES)
    assert {name: one.severity for name, one in RULES.items()} == ALERTS, "each is a check of the doctor"
    assert all((ROOT / f"docs/runbooks/{name}.md").is_file() for name in RULES)
    critical = {name for name, one in RULES.items() if one.severity == "critical"}
    assert critical == {"no-worker", "tokens-about-to-lapse", "disk-nearly-full", "store-trouble", "audit-chain-broken"}


def test_the_reference_has_the_rules_that_ship_and_all_kinds() -> None:
    lines = PAGE.read_text().splitlines()
    assert [line for line in lines if "| warning |" in line or "| critical |" in line] == rows()
    assert {line.split("`")[1] for line in lines if line.startswith("| `")} == set(ALERTS) | set(KINDS)


def test_what_cannot_be_seen_says_nothing() -> None:
    assert {name: one.bad(Seen(now=NOW)) for name, one in RULES.items()} == dict.fromkeys(ALERTS)


def test_a_queue_whose_attempts_fail_for_good_is_bad_if_there_are_enough() -> None:
    seen = past(few=Tally(failed=9), some=Tally(done=40, failed=10), many=Tally(done=30, failed=10))
    assert subjects("jobs-failing", seen) == ["many"]
    [bad] = RULES["jobs-failing"].bad(seen) or []
    assert bad.says == "25% of the attempts in queue many failed for good within 10m: 10 of 40."
    assert bad.value == 0.25


def test_all_queues_together_are_no_queue() -> None:
    tally = Tally(failed=10)
    assert RULES["dead-jobs"].bad(Seen(now=NOW, past={MINUTES[60]: {"": tally, "mail": tally}})) == [
        Bad("mail", 10, "10 jobs of queue mail failed for good within 1h.")
    ]


def test_a_queue_whose_jobs_begin_late_is_bad() -> None:
    assert subjects("late", past(slow=Tally(late={16: 10}), fast=Tally(late={3: 1000, 16: 10}))) == ["slow"]


def test_a_job_that_was_due_long_ago_is_bad() -> None:
    seen = Seen(now=NOW, stats=[stats("a", oldest=NOW - MINUTES[10]), stats("b", oldest=NOW - MINUTES[60]), stats("c")])
    assert subjects("oldest-waiting", seen) == ["b"]


def test_a_queue_that_nobody_alive_serves_is_bad_if_jobs_wait() -> None:
    waiting = [stats("mail", queued=3), stats("idle")]
    dead = worker(beat_at=NOW - MINUTES[5])
    for workers in ([], [dead], [worker("files")], [worker(stopping=True)]):
        assert subjects("no-worker", Seen(now=NOW, stats=waiting, workers=workers)) == ["mail"]
    for workers in ([worker()], [dead, worker("mail", "files")]):
        assert subjects("no-worker", Seen(now=NOW, stats=waiting, workers=workers)) == []


def test_a_schedule_is_missed_until_nobody_can_have_it_any_more() -> None:
    ages = {"fresh": MINUTES[2], "missed": MINUTES[5], "gone": timedelta(days=2), "next": -MINUTES[5]}
    seen = Seen(now=NOW, crons=ages)
    assert subjects("cron-missed", seen) == ["missed"]


def test_breakers_that_are_not_closed_and_providers_that_are_down_are_bad() -> None:
    gates = [gate("p:a", "closed"), gate("p:b", "open"), gate("p:c", "half-open")]
    assert subjects("breaker-open", Seen(now=NOW, gates=gates, down=["lantern"])) == ["p:b", "p:c", "lantern"]


def test_a_provider_is_bad_where_tokens_lapse_or_access_is_lost() -> None:
    seen = Seen(now=NOW, lapsing={MINUTES[2]: {"a": 1}}, refused={MINUTES[10]: {"a": 10, "b": 11}})
    assert subjects("tokens-about-to-lapse", seen) == ["a"]
    assert subjects("refreshes-failing", seen) == ["b"]


def test_an_audit_log_is_bad_that_was_changed_or_cannot_be_archived() -> None:
    ages = {"t-1": timedelta(hours=1), "_": timedelta(hours=3)}
    seen = Seen(now=NOW, broken={"t-1": "altered at 7: ..."}, unarchived=ages)
    assert subjects("audit-chain-broken", seen) == ["t-1"]
    assert subjects("audit-archive-failing", seen) == ["_"]


def test_a_disk_is_nearly_full_by_share_and_by_size() -> None:
    gb = 1_000_000_000
    disks = [Disk("/large", 50 * gb, 1000 * gb), Disk("/small", 4 * gb, 10 * gb), Disk("/full", gb, 20 * gb)]
    assert subjects("disk-nearly-full", Seen(now=NOW, disks=disks)) == ["/full"]


@pytest.mark.parametrize(
    ("answering", "is_bad"),
    [
        (Answering(None, None), False),
        (Answering(None, 0.9), False),
        (Answering(None, 1.5), True),
        (Answering("no answer.", None), True),
    ],
)
def test_a_store_that_is_slow_or_silent_is_in_trouble(answering: Answering, *, is_bad: bool) -> None:
    assert subjects("store-trouble", Seen(now=NOW, store=answering)) == (["store"] if is_bad else [])


def test_a_file_changes_rules_turns_them_off_and_makes_new_ones(tmp_path: Path) -> None:
    rules = in_file(
        tmp_path,
        """
        [oldest-waiting]
        above = "1h"
        without = ["mail*"]
        [mail-waiting]
        kind = "waiting"
        severity = "critical"
        only = ["mail*"]
        above = 30
        for = "10s"
        [late]
        enabled = false
        """,
    )
    assert set(rules) == set(ALERTS) | {"mail-waiting"}
    assert not rules["late"].enabled
    seen = Seen(now=NOW, stats=[stats(name, oldest=NOW - MINUTES[10]) for name in ("mail-out", "files")])
    assert rules["oldest-waiting"].bad(seen) == []
    assert [one.subject for one in rules["mail-waiting"].bad(seen) or ()] == ["mail-out"]
    assert rules["oldest-waiting"].lasts == MINUTES[2], "what the file does not say is as it ships"
    assert rules["mail-waiting"].lasts == timedelta(seconds=10)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[late]\nabove = '5x'", "rule 'late' has a time that is none: give durations from 0s to 7d."),
        ("[late]\nwithin = '8d'", "give durations from 0s to 7d."),
        ("[lat]\nabove = '5s'", "no rule ships as 'lat': did you mean 'late'?"),
        ("[mine]\nabove = '5s'", "give it a kind, one of archive, chain, dead, disk, "),
        ("[mine]\nkind = 'wating'", "rule 'mine' is of no kind that there is: did you mean 'waiting'?"),
        ("[mine]\nkind = 'waiting'", "missing required field `above`"),
        ("[late]\nabov = '5s'", "rule 'late' cannot say 'abov': did you mean 'above'?"),
        ("[jobs-failing]\nabove = 20", "Expected `float` <= 1.0"),
        ("[late]\nseverity = 'loud'", "Invalid enum value 'loud'"),
        ("late = 5", "outside of any rule"),
        ("['a b']\nkind = 'shut'", "use letters, digits and dashes"),
        ("[late", "is not a TOML file of rules"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        in_file(tmp_path, text)
    assert says in str(refused.value)
    assert str(tmp_path / "alerts.toml") in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name another in alerts_rules"):
        rules_in_force(Settings(alerts_rules=tmp_path / "none.toml"))


def test_runbooks_are_linked_to_where_they_are_published() -> None:
    assert runbook_of("late", Settings()) == "docs/runbooks/late.md"
    assert runbook_of("late", Settings(runbooks_url="https://a.example/books/")) == "https://a.example/books/late.md"
