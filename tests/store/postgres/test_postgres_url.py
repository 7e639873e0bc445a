"""PostgreSQL URLs: which place they mean, and what is said to who got one wrong, without the password."""

from __future__ import annotations

import re

import pytest

from lamplighter.core.errors import ConfigError, StoreUnavailable
from lamplighter.store.open import open_store
from lamplighter.store.postgres.url import Place, parse

USUAL = "postgresql://app:s3cret@db:5432/shop"


def test_a_plain_url_needs_no_options() -> None:
    assert parse(USUAL) == Place(USUAL, "postgresql://app@db:5432/shop")
    assert parse(USUAL)[2:] == ("lamplighter", 10, 10, "none")


def test_every_option_of_ours_is_ours_alone() -> None:
    place = parse(f"{USUAL}?schema=jobs_2&patience=2.5&connections=3&pooler=Transaction&sslmode=disable")
    assert place[2:] == ("jobs_2", 2.5, 3, "transaction")
    assert place.dsn == f"{USUAL}?sslmode=disable"


def test_the_shorter_scheme_is_the_same() -> None:
    assert parse(USUAL.replace("postgresql", "postgres")) == parse(USUAL)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop?host=/var/run/postgresql",
        "postgresql://app@/shop?host=/var/run/postgresql&port=5433",
        "postgresql://app@one:5432,two:5433/shop?target_session_attrs=read-write",
        "postgresql://app@[::1]:5432/shop",
        "postgresql://app%40corp@db/my%20shop",
        "postgresql://?service=shop",
    ],
)
def test_sockets_several_hosts_and_escapes_are_the_drivers_to_read(url: str) -> None:
    found = parse(url)
    assert found.dsn.replace("%2F", "/") == url
    assert found.shown == url


@pytest.mark.parametrize(
    "url",
    [
        USUAL,
        f"{USUAL}?schema=jobs",
        "postgresql://app@db/shop?password=s3cret",
        "postgresql://app@db/shop?sslpassword=s3cret&password=s3cret",
        "postgresql://app:s3cret@one,two:5433/shop",
        "postgresql://:s3cret@db/shop",
        "postgresql://app:s3cret@with@signs@db/shop",
    ],
)
def test_no_password_is_shown(url: str) -> None:
    store = open_store(url)
    assert "s3cret" not in f"{store.url} {store!r} {parse(url)!r} {parse(url)}"
    assert "s3cret" in parse(url).dsn


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("scheme=x", "unknown option 'scheme': did you mean 'schema'?"),
        ("s3=x", "unknown option 's3': ours are schema, patience, connections, pooler."),
        ("schema=Jobs", "schema in the store URL is no name that PostgreSQL takes without quotes"),
        ("schema=pg_jobs", "schema in the store URL is no name"),
        ("schema=" + "x" * 49, "give 1 to 48 of a-z, 0-9 and _."),
        ('schema=a";DROP', "schema in the store URL is no name"),
        ("schema=", "schema in the store URL is no name"),
        ("patience=soon", "patience=soon in the store URL is not a number from 0.01 to 3600."),
        ("patience=nan", "patience=nan in the store URL is not a number"),
        ("patience=0", "patience=0 in the store URL is not a number"),
        ("patience=1e9", "patience=1e9 in the store URL is not a number"),
        ("connections=0", "connections=0 in the store URL is not a whole number from 1 to 1000."),
        ("connections=2.5", "connections=2.5 in the store URL is not a whole number"),
        ("connections=-1", "connections=-1 in the store URL is not a whole number"),
        ("pooler=session", "pooler=session in the store URL is not one of none, transaction."),
    ],
)
def test_a_wrong_option_is_refused(options: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)) as refused:
        open_store(f"{USUAL}?{options}")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://app:s3cret#@db/shop", "write %23"),
        ("postgresql://app:12/s3cret@db/shop", "has an @ behind a / or ?: write"),
        ("postgresql://app:12?s3cret@db/shop", "has an @ behind a / or ?: write"),
        ("postgresql://app:s3/cret@db/shop", "cannot be read: write postgresql://user:password@host:5432/database."),
        ("postgresql://app@db:port/shop", "cannot be read"),
        ("postgresql://app@[db/shop", "cannot be read"),
    ],
)
def test_a_password_that_was_not_escaped_is_not_shown(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)) as refused:
        open_store(url)
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize("option", ["sslmode=sometimes", "target_session_attrs=fast"])
async def test_what_the_driver_cannot_make_sense_of_is_refused_when_it_is_used(option: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be looked for: .*; correct the store URL\.$") as refused:
        await open_store(f"postgresql://app:s3cret@127.0.0.1/shop?{option}").__aenter__()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["127.0.0.1/shop?sslmode=verify-full&sslrootcert=/nowhere", "/shop?host=/nowhere"])
async def test_a_path_that_leads_nowhere_is_told_as_such(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"socket or a file of the store URL is not there: correct the path\.$"):
        await open_store(f"postgresql://app:s3cret@{url}").__aenter__()
