"""The rules of flow control, as the records that processes share."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import msgspec

from lamplighter.core.errors import QueueFull
from lamplighter.core.flow_control import LIMIT, QUEUE, TENANT, GateRule, QueueRule, TenantRule
from lamplighter.core.model import Record

Rule = GateRule | QueueRule | TenantRule
DROPPED = "dropped: its queue was full, and it was the oldest that waited"
R = TypeVar("R", GateRule, QueueRule, TenantRule)

_KINDS: dict[type[Rule], str] = {GateRule: LIMIT, QueueRule: QUEUE, TenantRule: TENANT}


def record_of(name: str, rule: Rule) -> Record:
    """The record that holds the rule of a limit, queue or tenant."""
    return Record(kind=_KINDS[type(rule)], name=name, value=msgspec.json.encode(rule).decode())


def read_rule(text: str | None, kind: type[R]) -> R:
    """A rule from the text of its record; the default one where there is none, or it cannot be read."""
    rule: R = _read(text, kind)
    return rule


@lru_cache(maxsize=4096)
def _read(text: str | None, kind: type[R]) -> R:
    if text is None:
        return kind()
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return kind()


def plain_rule(record: Record) -> str | None:
    """The rule that a record holds as JSON that is sure to be one; None for records of other kinds."""
    match record.kind:
        case "limit":
            rule: Rule = read_rule(record.value, GateRule)
        case "queue":
            rule = read_rule(record.value, QueueRule)
        case "tenant":
            rule = read_rule(record.value, TenantRule)
        case _:
            return None
    return msgspec.json.encode(rule).decode()


def queue_full(queue: str, tenant: str | None, most: int) -> QueueFull:
    """The error of a batch that does not fit (`tenant`: into that tenant's part of the queue)."""
    whose = f" of tenant {tenant!r}" if tenant else ""
    return QueueFull(
        f"the queue {queue!r} takes {most:,} waiting jobs{whose}, and these are too many for it: add them later, fewer "
        "at once, or raise its bound."
    )
