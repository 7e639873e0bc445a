"""What a message says, for somebody in a hurry: what happened, since when, what to do."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.events import NoticeEvent, known_or_plain
from lamplighter.integrations.notices.message import Message
from lamplighter.integrations.notices.own_words import OwnWords, render
from lamplighter.integrations.notices.words import filled

MOST_LISTED = 100  # notices in a mail: more are counted


class Telling(NamedTuple):
    """A message in words. `html`: a tenant's own; "": it wants none; None: as shipped, made where a mail is."""

    subject: str
    to_do: str
    link: str | None
    text: str
    html: str | None = None


def tell(message: Message, public_url: str | None) -> Telling:
    """The message in words, as plain text."""
    event = known_or_plain(message.event)
    subject = "A test, nothing has happened: " * message.is_test + _subject(event, message)
    telling = Telling(subject, event.to_do, public_url if event.links else None, "")
    return telling._replace(text=_rendered("message.txt", message, telling))


def in_own_words(message: Message, telling: Telling, words: OwnWords) -> Telling:
    """The same as a tenant says it. Raises Failed. Whose text is its own, and has no HTML, sends none."""
    facts = facts_of(message, telling)
    subject, text, html = render(words, facts)
    if text is not None and html is None:
        html = ""
    renamed = telling._replace(subject=subject or telling.subject)
    return renamed._replace(text=_rendered("message.txt", message, renamed) if text is None else text, html=html)


def facts_of(message: Message, telling: Telling) -> dict[str, Any]:
    """All that a tenant's own words may use."""
    notices = [
        {"facts": item.facts, "at": moment(item.at), "tenant": item.tenant_name, "reason": item.reason or ""}
        | {"says": item.says}
        for item in message.items[:MOST_LISTED]
    ]
    return {
        "subject": telling.subject,
        "to_do": telling.to_do,
        "link": telling.link or "",
        "provider": message.provider_name,
        "tenant": notices[0]["tenant"],
        "reason": notices[0]["reason"],
        "facts": notices[0]["facts"],
        "count": message.notices,
        "integrations": message.integrations,
        "first_at": moment(message.first_at),
        "last_at": moment(message.last_at),
        "notices": notices,
    }


def tell_alarm(message: AlarmMessage) -> Telling:
    """A message about alerts in words, as plain text."""
    telling = Telling(_alarming(message), _alarm_to_do(message), None, "")
    return telling._replace(text=_rendered("alarm.txt", message, telling))


def as_html(message: Message | AlarmMessage, telling: Telling) -> str:
    """The same for a mail, its styles not inlined yet."""
    return _rendered("message.html" if isinstance(message, Message) else "alarm.html", message, telling)


def html_of(message: Message | AlarmMessage, telling: Telling) -> str:
    """The HTML of a mail, for programs that show mails; "" if it has none."""
    return _inliner().inline(as_html(message, telling)) if telling.html is None else telling.html


def moment(at: datetime) -> str:
    """A moment as people read it."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _subject(event: NoticeEvent, message: Message) -> str:
    first, many = message.items[0], message.integrations or message.notices
    if many > 1:
        return filled(event.many, {}, provider=message.provider_name, count=many)
    subject = filled(event.one, first.facts, tenant=first.tenant_name, provider=message.provider_name, count=many)
    return f"{subject}, {message.notices:,} times" if message.notices > 1 else subject


def _alarming(message: AlarmMessage) -> str:
    first = message.alarms[0]
    if message.is_test:
        return "Lamplighter: a test, nothing is wrong"
    if message.event == "alert.resolved":
        what = first.subject if message.count == 1 else f"{message.count:,} alerts"
        return f"Resolved: {first.rule} of {what}"
    return f"{first.severity.upper()}: {first.rule} of {first.subject if message.count == 1 else f'{message.count:,}'}"


def _alarm_to_do(message: AlarmMessage) -> str:
    if message.is_test or message.event == "alert.resolved":
        return "Nothing."
    return "See the runbook; `lamplighter alerts silence` keeps this quiet for as long as you work on it."


def _rendered(template: str, message: Message | AlarmMessage, telling: Telling) -> str:
    items, count = (message.items, message.notices) if isinstance(message, Message) else (message.alarms, message.count)
    listed = items[:MOST_LISTED]
    return (
        _environment()
        .get_template(template)
        .render(message=message, telling=telling, listed=listed, more=count - len(listed))
    )


@cache
def _inliner() -> CSSInliner:
    """Puts styles where they apply. Nothing is ever fetched: they stand in the template."""
    return CSSInliner(load_remote_stylesheets=False)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lamplighter.integrations.notices"),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    return environment
