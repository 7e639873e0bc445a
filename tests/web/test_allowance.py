"""How often somebody may ask."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from lamplighter.web.signin.allowance import Allowance, TooMany, address_of


class Stopwatch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


def taken(allowance: Allowance, name: str, tries: int) -> int:
    """How many of so many tries were let through."""
    count = 0
    for _ in range(tries):
        try:
            allowance.take(name)
        except TooMany:
            continue
        count += 1
    return count


def test_some_go_at_once_and_then_one_after_the_other(watch: Stopwatch) -> None:
    allowance = Allowance(2, 5, passed=watch)
    assert taken(allowance, "ada", 20) == 5
    watch.now = 0.5
    assert taken(allowance, "ada", 20) == 1
    watch.now = 100
    assert taken(allowance, "ada", 20) == 5


def test_it_says_how_long_to_wait(watch: Stopwatch) -> None:
    allowance = Allowance(0.5, 1, passed=watch)
    allowance.take("ada")
    watch.now = 0.5
    with pytest.raises(TooMany) as refused:
        allowance.take("ada")
    assert refused.value.retry_in.total_seconds() == pytest.approx(1.5)
    watch.now = 2
    allowance.take("ada")


def test_one_does_not_use_up_what_another_has(watch: Stopwatch) -> None:
    allowance = Allowance(1, 1, passed=watch)
    assert (taken(allowance, "ada", 9), taken(allowance, "bob", 9)) == (1, 1)


def test_only_so_many_are_remembered_and_the_busy_longest(watch: Stopwatch) -> None:
    allowance = Allowance(1, 1, most=3, passed=watch)
    for name in ("ada", "b", "c", "ada", "d", "ada", "e"):
        taken(allowance, name, 1)
    assert len(allowance._used_up) == 3
    assert taken(allowance, "ada", 1) == 0
    assert taken(allowance, "b", 1) == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_of_ipv6_the_network_counts(host: str, name: str) -> None:
    assert address_of(Request({"type": "http", "client": (host, 1)})) == name
    assert address_of(Request({"type": "http", "client": None})) == ""
