"""A message about alerts, for operators: what began to be bad, or is well again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from msgspec import Struct

from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.integrations.notices.address import Channel

AlertEvent = Literal["alert.firing", "alert.resolved"]
ALERT_EVENTS: tuple[AlertEvent, ...] = ("alert.firing", "alert.resolved")


class Alarm(Struct, frozen=True, kw_only=True):
    """One rule about one subject. `since`: since when it was bad; `at`: when it fired, or was resolved. `runbook`: what
    to do, as a link or the name of a page."""

    rule: str
    subject: str
    severity: str
    says: str
    since: datetime
    at: datetime
    runbook: str


class AlarmMessage(Struct, frozen=True, kw_only=True):
    """One mail or call. Of `count` alarms that it tells of, `alarms` are the first. `is_test`: nothing is bad."""

    id: str
    channel: Channel
    event: AlertEvent
    alarms: tuple[Alarm, ...]
    count: int
    created_at: datetime
    is_test: bool = False

    @classmethod
    def of_one(cls, alarm: Alarm, channel: Channel, event: AlertEvent, *, is_test: bool = False) -> Self:
        """A new one, made when that alarm was."""
        return cls(
            id=new_id(to_us(alarm.at)),
            channel=channel,
            event=event,
            alarms=(alarm,),
            count=1,
            created_at=alarm.at,
            is_test=is_test,
        )

    @property
    def type(self) -> str:
        """What a webhook is told it is."""
        return "alert.test" if self.is_test else self.event
