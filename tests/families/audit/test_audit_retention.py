"""How long which records are kept: by rules and holds, of which the SQL and the Python say the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.families.audit.logs import NOW, OLD, SETTINGS, Log, us

from lamplighter.core.errors import ConfigError
from lamplighter.integrations.audit import Actor, AuditLog, acting
from lamplighter.integrations.auditing.expiry import destroy_expired
from lamplighter.integrations.auditing.holds import Holds
from lamplighter.integrations.auditing.policy import Policy, Rule, Scope, fallback
from lamplighter.integrations.auditing.rules import Rules
from lamplighter.integrations.storage.audit_tables import audit_gaps
from lamplighter.integrations.storage.tables import audit

DAY = timedelta(days=1)
PAST = timedelta(days=500)

tenants = st.sampled_from(["*", "", "t-1", "t-2"])
actions = st.sampled_from(["*", "queue.*", "queue.pause", "q*", "integration.*"])
spans = st.sampled_from([None, 50 * DAY, 200 * DAY, 100_000 * DAY])
rules = st.builds(Rule, tenant=tenants, action=actions, archive_after=spans, destroy_after=spans)
holds = st.builds(Scope, tenant=tenants, action=actions)


async def expire(log: Log) -> int:
    return await destroy_expired(log.database, SETTINGS, NOW, batch=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rules, max_size=4, unique_by=lambda one: (one.tenant, one.action)), st.lists(holds, max_size=2))
async def test_what_is_to_go_is_the_same_in_the_table_and_in_archives(
    in_file: Log, rules: list[Rule], holds: list[Scope]
) -> None:
    if not await in_file.live():
        for tenant in (None, "t-1", "t-2"):
            for action in ("queue.pause", "queue.resume", "integration.revoked"):
                for ago in (DAY, OLD, PAST):
                    await in_file.write(action, tenant=tenant, ago=ago)
    policy = Policy(rules, holds, fallback(SETTINGS))
    statement = select(audit.c.id).where(policy.to_destroy(NOW))
    going = set(await in_file.database.read(lambda one: one.execute(statement).scalars().all()))
    by_python = {
        one["id"]
        for one in await in_file.live()
        if policy.may_destroy(one["tenant_id"] or "", one["action"], one["at"], NOW)
    }
    assert going == by_python


def test_the_most_precise_rule_counts() -> None:
    def rule(tenant: str, action: str, days: int) -> Rule:
        return Rule(tenant=tenant, action=action, archive_after=None, destroy_after=days * DAY)

    all_ = [rule("*", "*", 1), rule("*", "queue.*", 2), rule("*", "queue.pause", 3), rule("t-1", "*", 4)]
    policy = Policy(all_, [], fallback(SETTINGS))
    found = [
        policy.rule_for(chain, action).destroy_after
        for chain, action in (("t-2", "file.read"), ("t-2", "queue.drain"), ("", "queue.pause"), ("t-1", "queue.pause"))
    ]
    assert found == [DAY, 2 * DAY, 3 * DAY, 4 * DAY]
    assert Policy([], [], fallback(SETTINGS)).rule_for("t-1", "x").destroy_after == SETTINGS.keep_audit


async def test_without_an_archive_records_go_when_their_time_is_over_and_the_chain_still_verifies(log: Log) -> None:
    await log.write(about=["a", "b", "c", "d", "e"], ago=PAST)
    await log.write(about=["f"], ago=OLD)
    await log.seal()
    await log.write(ago=PAST)  # not sealed yet, and gone before it is
    assert await expire(log) == 6
    assert await expire(log) == 0
    gaps = await log.database.read(lambda one: one.execute(select(audit_gaps.c.first_seq, audit_gaps.c.last_seq)).all())
    assert [tuple(row) for row in gaps] == [(1, 5)], "what goes by age stays one run"
    verdict = await log.verify()
    assert (verdict.what, verdict.places, verdict.destroyed) == (None, 6, 5)


async def test_what_is_held_stays_until_it_is_released_and_who_did_that_is_on_record(log: Log) -> None:
    keeper = Holds(log.database, clock=lambda: NOW)
    await log.write("queue.pause", ago=PAST)
    await log.write("queue.resume", ago=PAST)
    await log.write("queue.pause", tenant="t-2", ago=PAST)
    await log.seal()
    with acting(Actor(user_id="auth|counsel")):
        hold = await keeper.place("t-1", "queue.p*", reason="a lawsuit")
    assert await expire(log) == 2
    left = [one for one in await log.live() if one["at"] == us(PAST)]
    assert [(one["tenant_id"], one["action"]) for one in left] == [("t-1", "queue.pause")]
    await log.seal()
    assert await log.is_whole()
    with acting(Actor(user_id="auth|counsel")):
        assert await keeper.release(hold.id)
    assert not await keeper.release(hold.id)
    assert await expire(log) == 1
    assert await keeper.page() == []
    [past] = await keeper.page(released=True)
    assert (past.user_id, past.released_by, past.reason) == ("auth|counsel", "auth|counsel", "a lawsuit")
    noted = [(one.action, one.user_id) for one in await AuditLog(log.database).page(limit=2)]
    assert noted == [("audit-hold.released", "auth|counsel"), ("audit-hold.placed", "auth|counsel")]


async def test_what_is_held_is_archived_but_not_destroyed_there(log: Log) -> None:
    keeper = Holds(log.database, clock=lambda: NOW)
    await log.write("queue.pause")
    await log.write("queue.resume")
    hold = await keeper.place("*", "queue.pause", reason="a lawsuit")
    await log.seal()
    assert (await log.archive()).records == 2
    assert await log.destroy(PAST) == 1
    assert [one["action"] for one in await log.archived()] == ["queue.pause"]
    [archive] = await log.archives()
    assert (archive.generation, archive.count, archive.destroyed) == (2, 2, 1)
    assert [path.name for path in log.objects()] == ["000000000001-000000000002.g2.jsonl.zst"]
    await log.seal()
    assert await log.is_whole()
    await keeper.release(hold.id)
    assert await log.destroy(PAST) == 1
    assert log.objects() == []
    assert await log.archives() == []
    await log.seal()
    assert await log.is_whole()


async def test_rules_are_set_replaced_and_unset_and_that_is_on_record(log: Log) -> None:
    kept = Rules(log.database, clock=lambda: NOW)
    await kept.set(Rule(tenant="t-1", action="queue.*", archive_after=DAY, destroy_after=None))
    await kept.set(Rule(tenant="t-1", action="queue.*", archive_after=None, destroy_after=9 * DAY))
    [rule] = await kept.all()
    assert (rule.archive_after, rule.destroy_after, rule.created_at) == (None, 9 * DAY, NOW)
    await log.write(ago=10 * DAY)
    await log.write(tenant="t-2", ago=10 * DAY)
    assert await expire(log) == 1
    assert await kept.unset("t-1", "queue.*")
    assert not await kept.unset("t-1", "queue.*")
    noted = [one.action for one in await AuditLog(log.database).page() if one.resource_type == "audit-rule"]
    assert noted == ["audit-rule.unset", "audit-rule.set", "audit-rule.set"]


@pytest.mark.parametrize(
    ("tenant", "action"),
    [("t\n", "*"), ("t" * 300, "*"), ("*", ""), ("*", "a*b"), ("*", "two words"), ("*", "x" * 200)],
)
async def test_what_is_no_tenant_or_action_is_refused(in_file: Log, tenant: str, action: str) -> None:
    with pytest.raises(ConfigError):
        await Holds(in_file.database).place(tenant, action, reason="why")


async def test_a_hold_needs_a_reason_and_a_rule_a_time(in_file: Log) -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        await Holds(in_file.database).place("*", "*", reason="  ")
    with pytest.raises(ConfigError, match="after 1h to 36500d"):
        await Rules(in_file.database).set(Rule(archive_after=timedelta(minutes=1), destroy_after=None))
