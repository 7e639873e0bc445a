"""Tenants' own words for events: what they can say, what they cannot do, and what is sent when they fail."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import insert
from tests.integrations.support import NOW, Home, Timer
from tests.integrations.telling import connected, happens, mail_server, sent, settings_of, telling

from lamplighter.integrations.notices.delivery import Deliverer
from lamplighter.integrations.notices.dispatch import Dispatcher
from lamplighter.integrations.notices.events import BadEvent
from lamplighter.integrations.notices.own_templates import sample
from lamplighter.integrations.notices.own_words import LARGEST, BadTemplate, Failed, OwnWords, render
from lamplighter.integrations.notices.senders import open_senders
from lamplighter.integrations.notices.wording import facts_of, in_own_words, tell
from lamplighter.integrations.storage.tables import templates

EVENT = "integration.revoked"
HOSTILE = {
    "a loop of its own": "{% for a in range(10**9) %}{% endfor %}",
    "loops within loops": "{% for a in notices %}{% for b in notices %}x{% endfor %}{% endfor %}",
    "recursion": "{% for a in notices recursive %}{{ loop(notices) }}{% endfor %}",
    "a macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a huge power": "{{ 9**9**9 }}",
    "a huge text": "{{ 'a' * 10**9 }}",
    "a format": "{{ '%999999999d'|format(1) }}",
    "a call": "{{ subject.upper() }}",
    "internals": "{{ subject.__class__.__mro__ }}",
    "internals by filter": "{{ subject|attr('__class__') }}",
    "the environment": "{{ self._TemplateReference__context }}",
    "another file": "{% include 'base.html' %}",
    "unescaped": "{{ subject|safe }}",
    "no such fact": "{{ password }}",
    "a broken one": "{% if %}",
    "a deep one": "{{ " + "not " * 5000 + "subject }}",
    "many brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a long one": "x" * 20_000,
    "much at once": "{% for one in notices %}" + "y" * 15_000 + "{% endfor %}",
}


def facts(count: int = 1) -> dict[str, object]:
    message = sample(EVENT, NOW, count)
    return facts_of(message, tell(message, None))


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_words_that_do_harm_are_refused(part: str, source: str) -> None:
    with pytest.raises(Failed, match=f"its {part} "):
        render(msgspec.structs.replace(OwnWords(tenant_id="t-1", event=EVENT), **{part: source}), facts(count=100))


def test_words_say_what_happened_in_a_tenants_own_way() -> None:
    words = OwnWords(
        tenant_id="t-1",
        event=EVENT,
        subject="{{ provider|upper }}\nis gone",
        text="{% for one in notices %}{{ one.tenant }}{% if one.reason %}: {{ one.reason }}{% endif %};{% endfor %}",
        html="<b>{{ tenant }}</b>",
    )
    told = facts(count=2) | {"tenant": "<i>Bakery</i>"}
    assert render(words, told) == (
        "LANTERN DRIVE is gone",
        "Copper Bakery: the provider says so;Copper Bakery: the provider says so;",
        "<b>&lt;i&gt;Bakery&lt;/i&gt;</b>",
    )
    message = sample(EVENT, NOW)
    shipped = tell(message, None)
    assert in_own_words(message, shipped, OwnWords(tenant_id="t-1", event=EVENT, text="Gone.")).html == ""
    renamed = in_own_words(message, shipped, OwnWords(tenant_id="t-1", event=EVENT, subject="Gone"))
    assert (renamed.text.splitlines()[0], renamed.html) == ("Gone.", None)
    assert len(render(OwnWords(tenant_id="t-1", event=EVENT, text="{{ subject }}"), facts()).text or "") < LARGEST


async def test_words_are_tried_before_they_are_kept_and_replaced_where_they_fail(home: Home) -> None:
    clock = Timer()
    async with mail_server() as post:
        settings = settings_of(home, post.url)
        async with telling(home, clock=clock, settings=settings) as ours:
            ids = await connected(ours, ["t-1", "t-2"])
            with pytest.raises(BadTemplate, match="its text has a Call in line 2"):
                await ours.templates.set(OwnWords(tenant_id="t-1", event=EVENT, text="Dear\n{{ subject.upper() }}"))
            with pytest.raises(BadTemplate, match="there are no words"):
                await ours.templates.set(OwnWords(tenant_id="t-1", event=EVENT))
            with pytest.raises(BadEvent, match="did you mean"):
                await ours.templates.set(OwnWords(tenant_id="t-1", event="integration.revoke", text="x"))
            await ours.templates.set(OwnWords(tenant_id="t-1", event=EVENT, subject="Ours: {{ subject }}"))
            broken = {
                "tenant_id": "t-2",
                "event": EVENT,
                "text": HOSTILE["a loop of its own"],
                "updated_at": 1,
            }
            await ours.database.write(lambda connection: connection.execute(insert(templates), broken).rowcount)
            for tenant in ("t-1", "t-2"):
                await ours.recipients.add(tenant, "email", f"{tenant}@example.com")
            await ours.recipients.add(None, "email", "operator@example.com")
            await happens(ours, ids, at=clock.now)
            dispatcher = Dispatcher(ours.database, clock=clock)
            await dispatcher.address()
            made = [one async for batch in dispatcher.compose() for one in batch]
            async with open_senders(settings, clock) as senders:
                deliverer = Deliverer(ours.database, ours.vault, senders, public_url=None, clock=clock)
                for one in made:
                    assert await deliverer.deliver(one.message_id) == "sent"
            subjects = sorted((str(mail["To"]), str(mail["Subject"])) for mail in post.mails)
            [failed] = await ours.templates.all("t-2")
            assert await ours.templates.remove("t-1", EVENT)
            assert not await ours.templates.remove("t-1", EVENT)
            ended = await sent(ours)
    assert subjects == [
        ("operator@example.com", "Lantern Drive no longer lets us in for Bakery t-1"),
        ("operator@example.com", "Lantern Drive no longer lets us in for Bakery t-2"),
        ("t-1@example.com", "Ours: Lantern Drive no longer lets us in for Bakery t-1"),
        ("t-2@example.com", "Lantern Drive no longer lets us in for Bakery t-2"),
    ]
    assert (failed.failed_at, failed.failure and failed.failure[:20]) == (clock.now, "its text has a For i")
    assert all(one.ended for one in ended)
