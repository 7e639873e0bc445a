"""API keys, on every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from lamplighter.core.errors import ConfigError
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing import FakeClock
from lamplighter.web import Caller, Role
from lamplighter.web.signin.keys import EVERY, KIND, USED, Keys, UnknownKey
from lamplighter.web.signin.recalled import KNOWN


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as opened:
        yield opened


@pytest.fixture
def keys(store: Store, clock: FakeClock) -> Keys:
    return Keys(store, clock=clock)


async def test_whoever_has_a_key_is_what_it_says(keys: Keys) -> None:
    operator = await keys.make("on call", Role.OPERATOR)
    indexer = await keys.make("indexer", Role.TENANT, tenants=["t-2", "t-1"], may_read_tokens=True)
    assert await keys.caller(operator.text.reveal()) == Caller(user_id=f"key:{operator.key.id}", role=Role.OPERATOR)
    assert await keys.caller(indexer.text.reveal()) == Caller(
        user_id=f"key:{indexer.key.id}", tenants=frozenset({"t-1", "t-2"}), may_read_tokens=True
    )


async def test_what_is_stored_lets_nobody_in(keys: Keys, store: Store, clock: FakeClock) -> None:
    made = await keys.make("on call", Role.OPERATOR)
    [record] = await store.records(KIND, now=clock())
    secret = made.text.reveal().split("_", 2)[2]
    assert secret not in record.value
    assert made.key.digest in record.value
    assert await keys.caller(f"lamp_{made.key.id}_{made.key.digest}") is None


@pytest.mark.parametrize(
    "wrong", ["lamp_{id}_{secret}x", "lamp_{id}_", "lamp_{id}", "lamp_0_{secret}", "lamp_", "lamp_é\0_\ud800"]
)
async def test_what_is_nearly_a_key_is_none(keys: Keys, wrong: str) -> None:
    made = await keys.make("on call", Role.OPERATOR)
    secret = made.text.reveal().split("_", 2)[2]
    assert await keys.caller(wrong.format(id=made.key.id, secret=secret)) is None


async def test_a_new_key_counts_at_once_where_others_are_known(keys: Keys, store: Store, clock: FakeClock) -> None:
    elsewhere = Keys(store, clock=clock)
    first = await elsewhere.make("first", Role.VIEWER)
    assert await keys.caller(first.text.reveal())
    second = await elsewhere.make("second", Role.VIEWER)
    clock.advance(0.1)
    assert await keys.caller(second.text.reveal())


async def test_a_revoked_key_stops_at_once_here_and_within_seconds_elsewhere(
    keys: Keys, store: Store, clock: FakeClock
) -> None:
    elsewhere = Keys(store, clock=clock)
    made = await keys.make("on call", Role.OPERATOR)
    assert await elsewhere.caller(made.text.reveal())
    await keys.revoke(made.key.id)
    assert await keys.caller(made.text.reveal()) is None
    clock.advance(KNOWN)
    assert await elsewhere.caller(made.text.reveal()) is None


async def test_a_use_that_comes_late_does_not_undo_a_revocation(keys: Keys, store: Store, clock: FakeClock) -> None:
    elsewhere = Keys(store, clock=clock)
    made = await keys.make("on call", Role.OPERATOR)
    assert await keys.caller(made.text.reveal())
    await elsewhere.revoke(made.key.id)
    clock.advance(KNOWN / 2)
    assert await keys.caller(made.text.reveal()), "it has not heard of it yet"
    clock.advance(KNOWN)
    assert await keys.caller(made.text.reveal()) is None
    assert not await elsewhere.has_live()


async def test_a_key_ends_when_it_was_said_to(keys: Keys, clock: FakeClock) -> None:
    made = await keys.make("for a while", Role.VIEWER, life=timedelta(days=90))
    clock.advance(timedelta(days=90, seconds=-1))
    assert await keys.caller(made.text.reveal())
    clock.advance(1)
    assert await keys.caller(made.text.reveal()) is None
    assert not await keys.has_live()


async def test_the_last_use_is_written_down_once_a_minute(keys: Keys, store: Store, clock: FakeClock) -> None:
    made = await keys.make("on call", Role.OPERATOR)
    assert [used for _, used in await keys.all()] == [None]
    begun = clock()
    for _ in range(3):
        await keys.caller(made.text.reveal())
        clock.advance(EVERY / 3)
    assert [used for _, used in await keys.all()] == [begun]
    await keys.caller(made.text.reveal())
    assert [used for _, used in await keys.all()] == [begun + EVERY]
    assert len(await store.records(USED, now=clock())) == 1


async def test_a_key_that_is_not_there_cannot_be_revoked(keys: Keys) -> None:
    with pytest.raises(UnknownKey, match="there is no key 'k-0'"):
        await keys.revoke("k-0")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"name": " "}, "printable"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "x" * 201}, "200"),
        ({"role": Role.TENANT}, "names"),
        ({"tenants": ["t-1"]}, "others for none"),
        ({"role": Role.TENANT, "tenants": [""]}, "printable"),
        ({"may_read_tokens": True}, "operators see no secrets"),
        ({"role": Role.VIEWER, "may_read_tokens": True}, "viewers see no secrets"),
    ],
)
async def test_keys_that_make_no_sense_are_not_made(keys: Keys, told: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        await keys.make(**{"name": "on call", "role": Role.OPERATOR, **told})
    assert await keys.all() == []
