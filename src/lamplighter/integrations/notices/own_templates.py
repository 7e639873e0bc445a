"""Where tenants' own words for events are kept, once they have been tried on a sample."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, select

from lamplighter.core.clock import Clock, to_us, utcnow
from lamplighter.integrations import audit
from lamplighter.integrations.notices.events import find_for, known_or_plain
from lamplighter.integrations.notices.message import Item, Message
from lamplighter.integrations.notices.outbox import Fact
from lamplighter.integrations.notices.own_words import (
    OPERATORS,
    BadTemplate,
    Failed,
    OwnWords,
    own_words,
    read_own_words,
)
from lamplighter.integrations.notices.preferences import check_tenant
from lamplighter.integrations.notices.wording import Telling, in_own_words, tell
from lamplighter.integrations.notices.words import says
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.tables import templates

_row = templates.c


class Templates:
    """Each tenant's own words, and (None) the operators'. `public_url`: what messages link to."""

    def __init__(self, database: Database, *, public_url: str | None, clock: Clock = utcnow) -> None:
        self._database = database
        self._public_url = public_url
        self._clock = clock

    async def all(self, tenant_id: str | None) -> list[OwnWords]:
        """By event."""
        statement = select(templates).where(_row.tenant_id == (tenant_id or OPERATORS)).order_by(_row.event)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [own_words(row) for row in rows]

    async def get(self, tenant_id: str | None, event: str) -> OwnWords | None:
        """Those for that event, if there are any."""
        return await self._database.read(lambda connection: read_own_words(connection, tenant_id, event))

    async def set(self, words: OwnWords) -> None:
        """From now on messages to that tenant's recipients are in these words, in place of those before.

        Raises:
            BadEvent: the tenant can hear of no such event, or there is no such tenant.
            BadTemplate: a template cannot be rendered with a sample, or all are left out.
        """
        if find_for(words.event, words.tenant_id).is_alarm:
            raise BadTemplate(f"messages about {words.event} have no other words: give those of another event.")
        if words.subject is None and words.text is None and words.html is None:
            raise BadTemplate("there are no words: give a subject, a text or HTML, or remove the template.")
        for count in (1, 2):  # as one, and as a digest
            self._try(words, count)
        now = self._clock()

        def write(connection: Connection) -> None:
            check_tenant(connection, words.tenant_id)
            key = {"tenant_id": words.tenant_id or OPERATORS, "event": words.event}
            values = {"subject": words.subject, "text": words.text, "html": words.html, "updated_at": to_us(now)}
            values |= {"failed_at": None, "failure": None}
            statement = insert_into(connection, templates).values(**key, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
            _record(connection, "template.set", words.tenant_id, words.event, now)

        await self._database.write(write)

    async def remove(self, tenant_id: str | None, event: str) -> bool:
        """Back to the shipped words. True if there were others."""
        now = self._clock()

        def write(connection: Connection) -> bool:
            same = (_row.tenant_id == (tenant_id or OPERATORS), _row.event == event)
            if connection.execute(delete(templates).where(*same)).rowcount == 0:
                return False
            _record(connection, "template.removed", tenant_id, event, now)
            return True

        return await self._database.write(write)

    async def preview(self, tenant_id: str | None, event: str) -> tuple[Message, Telling]:
        """What a recipient would be sent of a sample. Raises BadEvent, and Failed if their words cannot be."""
        find_for(event, tenant_id)
        message = sample(event, self._clock())
        telling = tell(message, self._public_url)
        words = await self.get(tenant_id, event)
        return message, telling if words is None else in_own_words(message, telling, words)

    def _try(self, words: OwnWords, count: int) -> None:
        message = sample(words.event, self._clock(), count)
        try:
            in_own_words(message, tell(message, self._public_url), words)
        except Failed as error:
            raise BadTemplate(f"these words for {words.event} cannot be used: {error}") from None


def sample(event: str, now: datetime, count: int = 1, *, is_test: bool = False) -> Message:
    """A message as it might be."""
    is_of_integration = event.startswith("integration.")
    facts: dict[str, Fact] = {} if is_of_integration else {**known_or_plain(event).sample}
    item = Item(
        id="sample",
        integration_id="sample" if is_of_integration else None,
        tenant_id="copper-bakery",
        tenant_name="Copper Bakery",
        reason="the provider says so" if is_of_integration else None,
        at=now,
        says="" if is_of_integration else says(event, facts, tenant="Copper Bakery"),
        facts=facts,
    )
    return Message(
        id="sample",
        channel="email",
        event=event,
        provider_slug="lantern-drive" if is_of_integration else "",
        provider_name="Lantern Drive" if is_of_integration else "",
        notices=count,
        integrations=count if is_of_integration else 0,
        first_at=now,
        last_at=now,
        items=tuple(msgspec.structs.replace(item, id=f"sample-{number}") for number in range(count)),
        created_at=now,
        is_test=is_test,
    )


def _record(connection: Connection, action: str, tenant_id: str | None, event: str, now: datetime) -> None:
    audit.record(connection, action, [audit.Resource("template", event, tenant_id)], now)
