"""The rules that say how long records are kept, and who set them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, Row, delete, func, select

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.duration import format_duration
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.audit import Resource, actor, record
from lamplighter.integrations.auditing.holds import held_now
from lamplighter.integrations.auditing.policy import ALL, Policy, Rule, checked_scope, fallback
from lamplighter.integrations.storage.audit_tables import audit_rules
from lamplighter.integrations.storage.database import Database, insert_into

MOST = 200
SHORTEST, LONGEST = timedelta(hours=1), timedelta(days=36_500)

_rule = audit_rules.c


class KeptRule(Rule, frozen=True, kw_only=True):
    """A rule, and since when and by whom it is set."""

    created_at: datetime
    user_id: str


class Rules:
    """Rules, for all tenants and for single ones."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def all(self) -> list[KeptRule]:
        """Every one, the most precise first."""
        rows = await self._database.read(lambda connection: connection.execute(select(audit_rules)).all())
        return sorted(map(_kept, rows), key=lambda one: (one.precision, one.tenant, one.action), reverse=True)

    async def set(self, rule: Rule) -> KeptRule:
        """Keep records of these tenants and actions for so long from now on. Raises ConfigError."""
        checked_scope(rule.tenant, rule.action)
        for span in (rule.archive_after, rule.destroy_after):
            if span is not None and not SHORTEST <= span <= LONGEST:
                raise ConfigError("records are archived and destroyed after 1h to 36500d, or never: say which.")
        kept = KeptRule(
            tenant=rule.tenant,
            action=rule.action,
            archive_after=rule.archive_after,
            destroy_after=rule.destroy_after,
            created_at=self._clock(),
            user_id=actor().user_id,
        )
        await self._database.write(lambda connection: _set(connection, kept))
        return kept

    async def unset(self, tenant: str, action: str) -> bool:
        """From now on other rules count for them; False: there was no such rule."""
        where = (_rule.tenant == tenant, _rule.action == action)
        now = self._clock()

        def unset(connection: Connection) -> bool:
            if not connection.execute(delete(audit_rules).where(*where)).rowcount:
                return False
            record(connection, "audit-rule.unset", [_resource(tenant, action)], now)
            return True

        return await self._database.write(unset)


def policy_in_force(connection: Connection, settings: Settings) -> Policy:
    """What counts in this transaction."""
    rules = [_as_rule(row) for row in connection.execute(select(audit_rules))]
    return Policy(rules, held_now(connection), fallback(settings))


def _set(connection: Connection, rule: KeptRule) -> None:
    values = {
        "archive_after": seconds_of(rule.archive_after),
        "destroy_after": seconds_of(rule.destroy_after),
        "created_at": to_us(rule.created_at),
        "user_id": rule.user_id,
    }
    statement = insert_into(connection, audit_rules).values(tenant=rule.tenant, action=rule.action, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "action"], set_=values))
    if (connection.scalar(select(func.count()).select_from(audit_rules)) or 0) > MOST:
        raise ConfigError(f"there are {MOST} rules already: take one away first, or say it with a wider one.")
    changes = {"archive_after": _told(rule.archive_after), "destroy_after": _told(rule.destroy_after)}
    record(connection, "audit-rule.set", [_resource(rule.tenant, rule.action)], rule.created_at, changes=changes)


def _resource(tenant: str, action: str) -> Resource:
    return Resource("audit-rule", action, None if tenant in {"", ALL} else tenant)


def seconds_of(span: timedelta | None) -> int | None:
    """How rules are stored and sent; None: never."""
    return None if span is None else round(span.total_seconds())


def _told(span: timedelta | None) -> str:
    return "never" if span is None else format_duration(span)


def span_of(seconds: int | None) -> timedelta | None:
    """The other way round."""
    return None if seconds is None else timedelta(seconds=seconds)


def _as_rule(row: Row[Any]) -> Rule:
    return Rule(
        tenant=row.tenant,
        action=row.action,
        archive_after=span_of(row.archive_after),
        destroy_after=span_of(row.destroy_after),
    )


def _kept(row: Row[Any]) -> KeptRule:
    return KeptRule(**asdict(_as_rule(row)), created_at=from_us(row.created_at), user_id=row.user_id)
