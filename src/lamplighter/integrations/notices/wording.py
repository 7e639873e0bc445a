"""What a message says, for somebody in a hurry: what happened, since when, what to do."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.message import Message
from lamplighter.integrations.transition import Event

MOST_LISTED = 100  # notices in a mail: more are counted


class Words(NamedTuple):
    """What an event is called if it happened to one integration, or to many, and what to do then."""

    one: str
    many: str
    to_do: str
    is_for_tenants: bool = False  # to be done where people connect


WORDS: dict[Event, Words] = {
    "integration.revoked": Words(
        "{provider} no longer lets us in for {tenant}",
        "{provider} no longer lets us in for {count} integrations",
        "Connect again.",
        is_for_tenants=True,
    ),
    "integration.expired": Words(
        "The access to {provider} has expired for {tenant}",
        "The access to {provider} has expired for {count} integrations",
        "Nothing yet: we go on trying, and say so once it works again.",
    ),
    "integration.error": Words(
        "{provider} refuses our own set-up, and with it {tenant}",
        "{provider} refuses our own set-up, and with it {count} integrations",
        "Check our client id, secret, scopes and token URL there: tenants can do nothing about it.",
    ),
    "integration.recovered": Words(
        "{provider} works again for {tenant}",
        "{provider} works again for {count} integrations",
        "Nothing.",
    ),
    "integration.connected": Words(
        "{tenant} is connected to {provider}",
        "{count} integrations are connected to {provider}",
        "Nothing.",
    ),
    "integration.disconnected": Words(
        "{tenant} is disconnected from {provider}",
        "{count} integrations are disconnected from {provider}",
        "Connect again, if that was not meant.",
        is_for_tenants=True,
    ),
}


class Telling(NamedTuple):
    """A message in words."""

    subject: str
    to_do: str
    link: str | None
    text: str


def tell(message: Message, public_url: str | None) -> Telling:
    """The message in words, as plain text."""
    words = WORDS[message.event]
    link = public_url if words.is_for_tenants else None
    telling = Telling(_subject(words, message), words.to_do, link, "")
    return telling._replace(text=_rendered("message.txt", message, telling))


def tell_alarm(message: AlarmMessage) -> Telling:
    """A message about alerts in words, as plain text."""
    telling = Telling(_alarming(message), _alarm_to_do(message), None, "")
    return telling._replace(text=_rendered("alarm.txt", message, telling))


def as_html(message: Message | AlarmMessage, telling: Telling) -> str:
    """The same for a mail, its styles not inlined yet."""
    return _rendered("message.html" if isinstance(message, Message) else "alarm.html", message, telling)


def moment(at: datetime) -> str:
    """A moment as people read it."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _subject(words: Words, message: Message) -> str:
    if message.integrations > 1:
        return words.many.format(provider=message.provider_name, count=f"{message.integrations:,}")
    subject = words.one.format(provider=message.provider_name, tenant=message.items[0].tenant_name)
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
