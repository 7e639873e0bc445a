"""What a Redis URL may say, and what is said about one that is wrong."""

from __future__ import annotations

import sys

import pytest

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.store.open import open_store
from lamplighter.store.redis import RedisStore
from lamplighter.store.redis.url import Place, Tls, parse


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", Place((("localhost", 6379),))),
        ("redis://db.example", Place((("db.example", 6379),))),
        ("redis://db.example:7000/3", Place((("db.example", 7000),), db=3)),
        ("redis://[::1]:7000", Place((("::1", 7000),))),
        ("redis://[::1]", Place((("::1", 6379),))),
        ("redis://:pass@h", Place((("h", 6379),), password=Secret("pass"))),
        ("redis://me:p%40ss%2F@h", Place((("h", 6379),), username="me", password=Secret("p@ss/"))),
        ("redis://a:1,b:2,c", Place((("a", 1), ("b", 2), ("c", 6379)))),
        ("redis://h?prefix=jobs&patience=2.5", Place((("h", 6379),), prefix="jobs", patience=2.5)),
        ("rediss://h", Place((("h", 6379),), tls=Tls())),
        ("rediss://h?ca=/ca.pem&cert=c&key=k&verify=ca", Place((("h", 6379),), tls=Tls("/ca.pem", "c", "k", "ca"))),
        ("unix:///run/redis.sock", Place(("/run/redis.sock",))),
        ("unix://me:pass@/run/a%20b.sock?db=2", Place(("/run/a b.sock",), "me", Secret("pass"), db=2)),
        (
            "redis+sentinel://:pass@a,b:7/1?master=jobs&sentinel_password=word",
            Place(
                (("a", 26379), ("b", 7)),
                password=Secret("pass"),
                db=1,
                master="jobs",
                sentinel_password=Secret("word"),
            ),
        ),
        ("rediss+sentinel://a?master=m", Place((("a", 26379),), tls=Tls(), master="m")),
    ],
)
def test_a_url_says_where_and_how(url: str, place: Place) -> None:
    assert parse(url) == place


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h?prefx=a", "did you mean 'prefix'"),
        ("redis://h?ca=/ca.pem", "unknown option 'ca'"),
        ("redis://h?nonsense=1", "there are prefix, patience"),
        ("redis://h?patience=soon", "not a number of seconds"),
        ("redis://h?patience=0", "not a number of seconds"),
        ("redis://h?prefix=", "without braces"),
        ("redis://h?prefix={a}", "without braces"),
        ("redis://h:none", "port that is not a number"),
        ("redis://h:70000", "port that is not a number"),
        ("redis://::1", "without brackets"),
        ("redis://h/jobs", "database of the store URL is not a number"),
        ("redis://h/0#a", "write %23"),
        ("redis://[::1", "cannot be read"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix:///", "names no socket"),
        ("rediss://h?verify=maybe", "not one of full, ca"),
        ("redis+sentinel://h", "names no master"),
    ],
)
def test_a_wrong_url_is_told_in_a_sentence_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        open_store(url.replace("://", "://user:hunter2@", 1) if "[::1" not in url and "://run" not in url else url)
    assert "hunter2" not in str(told.value)


def test_the_url_of_a_store_can_be_opened_again_but_hides_the_password() -> None:
    url = "redis://me@h:7000/2?prefix=jobs&patience=3"
    assert parse(RedisStore(url).url) == parse(url)
    hidden = RedisStore("redis+sentinel://me:hunter2@h?master=m&sentinel_password=hunter3").url
    assert "hunter" not in hidden
    assert hidden.endswith("h?master=m&sentinel_password=[REDACTED]")


def test_a_mistyped_scheme_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean redis://"):
        open_store("redi://h")


def test_without_the_extra_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("lamplighter.store.redis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hiredis", None)
    with pytest.raises(ConfigError, match=r"pip install 'lamplighter\[redis\]'"):
        open_store("redis://")
