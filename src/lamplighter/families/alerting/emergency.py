"""What is left when the tables themselves do not answer: this process tells those whom it remembers, once.

There is nothing left by which processes could agree, so each that looks tells by itself. Nothing else is alerted of
meanwhile, for whatever is bad then is bad because of that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from lamplighter.families.alerting.course import Alert, Event, when_bad, when_good
from lamplighter.families.alerting.kinds import Bad, Rule, StoreTrouble
from lamplighter.families.alerting.post import Person, Post
from lamplighter.integrations.notices.alarm import Alarm, AlarmMessage
from lamplighter.integrations.notices.channel import Refused, Undelivered

_log = logging.getLogger("lamplighter.alerts")


class Emergency:
    """Of one process."""

    def __init__(self, post: Post, *, runbook: Callable[[str], str]) -> None:
        self._post = post
        self._runbook = runbook
        self._people: Sequence[Person] = ()
        self._alerts: dict[str, Alert] = {}

    async def out_of_reach(self, rules: Sequence[Rule], reason: str, now: datetime) -> None:
        """The tables do not answer, as far as this process sees."""
        bad = Bad("store", 1, f"The tables of alerts do not answer: {reason}")
        for rule in rules:
            if isinstance(rule, StoreTrouble) and rule.enabled and rule.is_about(bad.subject):
                before = self._alerts.get(rule.name)
                after = self._alerts[rule.name] = when_bad(before, bad, rule, now)
                if after.state == "firing" and (before is None or before.state != "firing"):
                    await self._tell(after, "alert.firing", now)

    async def within_reach(self, calm: timedelta, now: datetime) -> None:
        """They do answer."""
        self._people = await self._post.people()
        for name, before in list(self._alerts.items()):
            after = when_good(before, calm, now)
            if after is not None and after.is_live:
                self._alerts[name] = after
                continue
            del self._alerts[name]
            if after is not None:
                await self._tell(after, "alert.resolved", now)

    async def _tell(self, alert: Alert, event: Event, now: datetime) -> None:
        _log.error("%s: %s", "Firing" if event == "alert.firing" else "Resolved", alert.says)
        hear = [one for one in self._people if event in one.events]
        await asyncio.gather(*(self._send(one, alert, event, now) for one in hear))

    async def _send(self, person: Person, alert: Alert, event: Event, now: datetime) -> None:
        alarm = Alarm(
            rule=alert.rule,
            subject=alert.subject,
            severity=alert.severity,
            says=alert.says,
            since=alert.since,
            at=now,
            runbook=self._runbook(alert.rule),
        )
        try:
            await self._post.send(person, AlarmMessage.of_one(alarm, person.channel, event))
        except (Undelivered, Refused) as error:
            _log.warning("A message about %s did not get through: %s", alert.rule, error)
