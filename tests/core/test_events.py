"""Whoever listens hears every event, whatever the others do."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from lamplighter.core.events import Bus, Event

EVENT = Event(kind="done", job="1", at=datetime(2030, 1, 1, tzinfo=UTC))


def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus, heard = Bus(), list[Event]()

    def broken(event: Event) -> None:
        raise ZeroDivisionError

    bus.listen(broken)
    bus.listen(heard.append)
    with caplog.at_level(logging.ERROR, "lamplighter.events"):
        bus.emit(EVENT)
        bus.emit(EVENT)
    assert heard == [EVENT, EVENT]
    assert len(caplog.records) == 2


def test_who_left_hears_nothing_and_may_leave_again() -> None:
    bus, heard = Bus(), list[Event]()
    leave = bus.listen(heard.append)
    assert bus.heard
    leave()
    leave()
    bus.emit(EVENT)
    assert (heard, bus.heard) == ([], False)
