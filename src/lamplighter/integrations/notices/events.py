"""What people can be told of: each event is declared once, with its words, and with who hears of it by default.

declare(NoticeEvent("archive.done", one="The archive of {month} is ready", many="{count} archives are ready"))
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from msgspec import Struct

from lamplighter.core.errors import ConfigError

NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+")
LONGEST_NAME = 60  # characters
LONGEST_WORDS = 500
OURS = ("integration.", "alert.")  # what events of others do not begin with


class BadEvent(ConfigError):
    """There is no such event, or it cannot be declared, or not be told like that."""


class NoticeEvent(Struct, frozen=True):
    """An event.

    Args:
        one: what it is called if it happened once; `{tenant}`, `{provider}` and facts are filled in.
        many: if it happened to many, or often; `{count}` and `{provider}` are filled in.
        to_do: what whoever is told has to do then.
        links: whether messages link to `public_url`, where it can be done.
        for_tenants: whether tenants may hear of it.
        tells_tenants, tells_operators: whether recipients hear of it that chose nothing.
        sample: facts for a preview.
    """

    name: str
    one: str
    many: str
    to_do: str = "Nothing."
    links: bool = False
    for_tenants: bool = True
    tells_tenants: bool = True
    tells_operators: bool = False
    sample: Mapping[str, str | int] = {}

    @property
    def is_alarm(self) -> bool:
        """Whether it is of an alert, whose messages have their own way to operators."""
        return self.name.startswith("alert.")


_EVENTS: dict[str, NoticeEvent] = {}


def declare(event: NoticeEvent) -> NoticeEvent:
    """Let there be an event, in every process that tells or sends it. The same once more changes nothing.

    Raises:
        BadEvent: its name or words cannot be, or the name is another's.
    """
    if len(event.name) > LONGEST_NAME or not NAME.fullmatch(event.name):
        raise BadEvent(f"no event can be called {event.name!r:.80}: give a name such as archive.done.")
    if event.name.startswith(OURS):
        raise BadEvent(f"{event.name} cannot be declared: events of {' and '.join(OURS)} are Lamplighter's own.")
    if not 0 < len(event.one) <= LONGEST_WORDS or not 0 < len(event.many) <= LONGEST_WORDS:
        raise BadEvent(f"the words of {event.name} cannot be: give 1 to {LONGEST_WORDS} characters for each.")
    if _EVENTS.setdefault(event.name, event) != event:
        raise BadEvent(f"{event.name} is declared already, with other words: give yours another name.")
    return event


def declared() -> tuple[NoticeEvent, ...]:
    """All events that this process knows, ours first."""
    return tuple(_EVENTS.values())


def find(name: str) -> NoticeEvent:
    """Raises BadEvent, with what is near, if no such event is declared here."""
    if name not in _EVENTS:
        raise BadEvent(f"there is no event {name!r:.60}: {_hint(name, _EVENTS)}")
    return _EVENTS[name]


def find_for(name: str, tenant_id: str | None) -> NoticeEvent:
    """The same; raises BadEvent also if that tenant may not hear of it. None is the operators."""
    known = heard_by(tenant_id)
    if name not in known:
        raise BadEvent(f"there is no event {name!r:.60}: {_hint(name, known)}")
    return _EVENTS[name]


def known_or_plain(name: str) -> NoticeEvent:
    """The event; without words of its own if whoever declares it is not in this process: what is to be sent is sent."""
    return _EVENTS.get(name) or NoticeEvent(name, one=name, many=f"{name}, {{count}} times")


def heard_by(tenant_id: str | None) -> dict[str, NoticeEvent]:
    """What a tenant, or (None) the operators, can hear of."""
    return {name: event for name, event in _EVENTS.items() if tenant_id is None or event.for_tenants}


def defaults(tenant_id: str | None) -> tuple[str, ...]:
    """What recipients hear of that chose nothing."""
    if tenant_id is None:
        return tuple(event.name for event in _EVENTS.values() if event.tells_operators)
    return tuple(event.name for event in _EVENTS.values() if event.for_tenants and event.tells_tenants)


def _hint(name: str, known: Mapping[str, NoticeEvent]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."


def _ours(*events: NoticeEvent) -> None:
    _EVENTS.update({event.name: event for event in events})


_ours(
    NoticeEvent(
        "integration.revoked",
        one="{provider} no longer lets us in for {tenant}",
        many="{provider} no longer lets us in for {count} integrations",
        to_do="Connect again.",
        links=True,
        tells_operators=True,
    ),
    NoticeEvent(
        "integration.expired",
        one="The access to {provider} has expired for {tenant}",
        many="The access to {provider} has expired for {count} integrations",
        to_do="Nothing yet: we go on trying, and say so once it works again.",
        tells_operators=True,
    ),
    NoticeEvent(
        "integration.recovered",
        one="{provider} works again for {tenant}",
        many="{provider} works again for {count} integrations",
        tells_operators=True,
    ),
    NoticeEvent(
        "integration.error",
        one="{provider} refuses our own set-up, and with it {tenant}",
        many="{provider} refuses our own set-up, and with it {count} integrations",
        to_do="Check our client id, secret, scopes and token URL there: tenants can do nothing about it.",
        tells_tenants=False,  # who can mend none of it
        tells_operators=True,
    ),
    NoticeEvent(
        "integration.connected",
        one="{tenant} is connected to {provider}",
        many="{count} integrations are connected to {provider}",
        tells_tenants=False,
    ),
    NoticeEvent(
        "integration.disconnected",
        one="{tenant} is disconnected from {provider}",
        many="{count} integrations are disconnected from {provider}",
        to_do="Connect again, if that was not meant.",
        links=True,
        tells_tenants=False,
    ),
    NoticeEvent(
        "files.refused",
        one="The files of {source} cannot be read any more",
        many="The files of {count} sources cannot be read any more",
        to_do="See whether the place and the rights are still right, and resume the source.",
        links=True,
        sample={"source": "shared drive", "reason": "it answers 403: see that its user may still read it."},
    ),
    NoticeEvent(
        "alert.firing", one="An alert fires", many="{count} alerts fire", for_tenants=False, tells_operators=True
    ),
    NoticeEvent(
        "alert.resolved",
        one="An alert is resolved",
        many="{count} alerts are resolved",
        for_tenants=False,
        tells_operators=True,
    ),
)
