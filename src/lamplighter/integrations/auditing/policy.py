"""How long which records are kept: by rules for tenants and actions, and whatever is held for as long as it is.

The same is said twice, of rows as SQL and of archives in Python; a property of the tests compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, or_, true

from lamplighter.core.clock import EPOCH, to_us
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.storage.tables import audit

ALL = "*"
LONGEST_PATTERN = 100  # characters
LONGEST_TENANT = 200
NEVER = -(2**60)  # a moment that nothing is older than


class Scope(Struct, frozen=True, kw_only=True):
    """Which records: of a tenant, "" for those of no single one, or "*"; of an action, or of all that begin so."""

    tenant: str = ALL
    action: str = ALL

    def covers(self, chain: str, action: str) -> bool:
        """Whether it is about records of that chain and action."""
        return self.tenant in {ALL, chain} and (
            action.startswith(self.action[:-1]) if self.action.endswith(ALL) else action == self.action
        )

    def condition(self) -> ColumnElement[bool]:
        """The same of rows."""
        column = audit.c.action
        prefix = self.action.removesuffix(ALL)
        is_action = func.substr(column, 1, len(prefix)) == prefix if self.action.endswith(ALL) else column == prefix
        is_tenant: ColumnElement[bool]
        match self.tenant:
            case "*":
                is_tenant = true()
            case "":
                is_tenant = audit.c.tenant_id.is_(None)
            case _:
                is_tenant = audit.c.tenant_id.is_not_distinct_from(
                    self.tenant
                )  # which can be negated where there is none
        return and_(is_tenant, is_action) if prefix or not self.action.endswith(ALL) else is_tenant

    @property
    def precision(self) -> tuple[bool, bool, int]:
        """Of several that cover a record, the one with the most of it counts."""
        return self.tenant != ALL, not self.action.endswith(ALL), len(self.action)


class Rule(Scope, frozen=True, kw_only=True):
    """For how long. None: for ever."""

    archive_after: timedelta | None
    destroy_after: timedelta | None


class Policy:
    """All rules, the most precise first, and what is held."""

    def __init__(self, rules: Sequence[Rule], holds: Sequence[Scope], fallback: Rule) -> None:
        self._rules = sorted(rules, key=lambda rule: rule.precision, reverse=True)
        self._holds = holds
        self._fallback = fallback

    def rule_for(self, chain: str, action: str) -> Rule:
        """The one that counts for records of that chain and action."""
        return next((one for one in self._rules if one.covers(chain, action)), self._fallback)

    def is_held(self, chain: str, action: str) -> bool:
        """Whether nothing of it may be destroyed now."""
        return any(one.covers(chain, action) for one in self._holds)

    def may_destroy(self, chain: str, action: str, at: int, now: datetime) -> bool:
        """Whether a record of that moment (microseconds) is to go."""
        return not self.is_held(chain, action) and at < _cutoff(self.rule_for(chain, action).destroy_after, now)

    def to_archive(self, now: datetime) -> ColumnElement[bool]:
        """Which rows are to be archived."""
        return audit.c.at < self._cutoffs({rule: _cutoff(rule.archive_after, now) for rule in self._all})

    def to_destroy(self, now: datetime) -> ColumnElement[bool]:
        """Which rows are to go."""
        old = audit.c.at < self._cutoffs({rule: _cutoff(rule.destroy_after, now) for rule in self._all})
        held = [one.condition() for one in self._holds]
        return and_(old, ~or_(*held)) if held else old

    @property
    def _all(self) -> list[Rule]:
        return [*self._rules, self._fallback]

    def _cutoffs(self, moments: dict[Rule, int]) -> ColumnElement[int]:
        """By the first rule that covers a row."""
        values = [(rule.condition(), literal(moments[rule], BigInteger)) for rule in self._rules]
        fallback = literal(moments[self._fallback], BigInteger)
        return case(*values, else_=fallback) if values else fallback


def fallback(settings: Settings) -> Rule:
    """What counts where no rule says otherwise."""
    return Rule(archive_after=settings.audit_archive_after, destroy_after=settings.keep_audit)


def checked_scope(tenant: str, action: str) -> Scope:
    """Raises ConfigError: it says what to correct."""
    if len(tenant) > LONGEST_TENANT or not (tenant == "" or tenant.isprintable()):
        raise ConfigError(f"a tenant's id has at most {LONGEST_TENANT} printable characters: correct it, or say '*'.")
    inside = action.removesuffix(ALL)
    if not 0 < len(action) <= LONGEST_PATTERN or not action.isprintable() or ALL in inside or " " in action:
        raise ConfigError(
            f"{action!r:.60} names no actions: give one such as integration.revoked, the beginning of several such as "
            "'integration.*', or '*'."
        )
    return Scope(tenant=tenant, action=action)


def _cutoff(span: timedelta | None, now: datetime) -> int:
    """Before which moment a record is old enough. The clock's beginning is far enough back for any span."""
    if span is None:
        return NEVER
    return to_us(max(now - span, EPOCH)) if span < now - EPOCH else 0
