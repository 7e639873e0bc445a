"""What a route answers when all goes well, said beside it: the API's description and its tests go by that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., object])

JSON, EVENTS, TEXT, CSV = "application/json", "text/event-stream", "text/plain", "text/csv"


class Shows(NamedTuple):
    """`data`: its type; None: nothing (204). `status`: of the answer; `also`: the types of those with another status.
    `paged`: with `next`, and what else is `beside`. `bare`: without the envelope. `events`: of a stream, the type of
    each event's data by its name. `text`: it is none of that, but plain text; `csv`: a table, of which this is an
    example. `redirects`: a browser is sent on."""

    data: Any = None
    status: int = 200
    also: Mapping[int, Any] = {}
    paged: bool = False
    beside: Mapping[str, type] = {}
    bare: bool = False
    events: Mapping[str, Any] = {}
    text: bool = False
    csv: str = ""
    redirects: bool = False

    @property
    def types(self) -> list[Any]:
        """All that it may show."""
        return [*self.by_status.values(), *self.events.values()]

    @property
    def by_status(self) -> dict[int, Any]:
        """The types of its data."""
        return {} if self.data is None else {self.status: self.data, **self.also}


def shows(
    data: Any = None,
    *,
    status: int = 200,
    also: Mapping[int, Any] = {},
    paged: bool = False,
    bare: bool = False,
    **beside: type,
) -> Callable[[F], F]:
    """The route answers with data of this type, or with nothing."""
    return _mark(Shows(data, status, also, paged, beside, bare))


def shows_events(**events: Any) -> Callable[[F], F]:
    """The route answers with a stream of events of these names, each with data of this type."""
    return _mark(Shows(events=events))


def shows_text(endpoint: F) -> F:
    """The route answers with plain text."""
    return _mark(Shows(text=True))(endpoint)


def shows_csv(example: str) -> Callable[[F], F]:
    """The route answers with a table such as this, for spreadsheets."""
    return _mark(Shows(csv=example))


def redirects() -> Callable[[F], F]:
    """The route sends a browser on."""
    return _mark(Shows(redirects=True))


def shows_of(endpoint: object) -> Shows | None:
    """What the route with that endpoint answers, if it says so."""
    found: Shows | None = getattr(endpoint, "shows", None)
    return found


def _mark(shown: Shows) -> Callable[[F], F]:
    def mark(endpoint: F) -> F:
        endpoint.__dict__["shows"] = shown
        return endpoint

    return mark
