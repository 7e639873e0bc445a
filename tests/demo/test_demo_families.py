from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.demo import families as module
from lamplighter.demo.families import Families


@given(st.lists(st.integers(min_value=0, max_value=4)))
def test_only_the_newest_refresh_token_works_and_any_older_one_ends_the_family(ages: list[int]) -> None:
    families = Families()
    family = families.open("ada", "files.read")
    tokens = [families.issue_refresh(family)]
    alive = True
    for age in ages:
        presented = tokens[-1 - age % len(tokens)]
        alive = alive and presented == tokens[-1]
        assert (families.redeem(presented) is not None) == alive
        if alive:
            tokens.append(families.issue_refresh(family))
    assert family.revoked == (not alive)
    assert families.reuses == (not alive)
    assert families.refreshes() == ({"ada": len(ages)} if ages else {})


@given(st.text())
def test_text_that_was_not_issued_is_no_token(text: str) -> None:
    families = Families()
    families.open("ada", "files.read")
    assert families.read(text, "access") is None
    assert families.redeem(text) is None


@given(st.integers(min_value=0, max_value=60), st.characters(codec="utf-8"))
def test_a_token_with_a_character_more_is_no_token(at: int, extra: str) -> None:
    families = Families()
    text = families.issue_refresh(families.open("ada", "files.read"))
    assert families.read(text[:at] + extra + text[at:], "refresh") is None


def test_an_access_token_expires_on_the_second() -> None:
    moments = iter([100.0, 129.9, 130.0])  # of issue, and of two visits
    families = Families(lambda: next(moments))
    text = families.issue_access(families.open("ada", "files.read"), lifetime=30)
    tokens = [families.read(text, "access") for _ in range(2)]
    assert [token and token.expired for token in tokens] == [False, True]


def test_an_access_token_does_not_refresh_and_a_refresh_token_opens_no_drive() -> None:
    families = Families()
    family = families.open("ada", "files.read")
    assert families.redeem(families.issue_access(family, lifetime=30)) is None
    assert families.read(families.issue_refresh(family), "access") is None


def test_a_token_of_another_provider_is_no_token() -> None:
    here, there = Families(), Families()
    text = there.issue_refresh(there.open("ada", "files.read"))
    here.open("ada", "files.read")
    assert here.redeem(text) is None


def test_the_family_idle_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    families = Families()
    busy, idle = (families.issue_refresh(families.open(user, "files.read")) for user in ("ada", "bruno"))
    assert families.redeem(busy) is not None
    families.open("chidi", "files.read")
    assert families.redeem(idle) is None
    assert families.redeem(busy) is not None


def test_requests_of_a_revoked_family_are_told_from_those_before() -> None:
    families = Families()
    tokens = [families.issue_refresh(families.open("ada", "files.read")) for _ in range(2)]
    assert families.redeem(tokens[0]) is not None
    families.revoke("ada")
    assert [families.redeem(token) for token in tokens] == [None, None]
    assert (families.refreshes(), families.refused()) == ({"ada": 3}, {"ada": 2})
