"""Arguments and results as JSON: what fits the signature comes back, and nothing else goes in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.codec import LARGEST, Codec
from lamplighter.core.errors import BadArguments, ConfigError, TooLarge
from lamplighter.core.secret import Secret


def send(ctx: object, to: str, *, tries: int = 3, at: datetime | None = None, tags: list[str] = []) -> timedelta: ...  # type: ignore[empty-body]  # noqa: B006 - what users write


CODEC = Codec("send", send)
MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_a_secret_is_no_argument_so_none_is_stored_or_shown() -> None:
    def log_in(ctx: object, password: Secret) -> None: ...

    codec = Codec("log_in", log_in)
    for password in (Secret("hunter2"), "hunter2"):
        with pytest.raises(BadArguments) as error:
            codec.dump((password,), {})
        assert "hunter2" not in str(error.value)


@given(
    st.text(), st.integers(-(2**63), 2**63 - 1), st.none() | st.datetimes(timezones=st.just(UTC)), st.lists(st.text())
)
def test_arguments_come_back_as_they_went(to: str, tries: int, at: datetime | None, tags: list[str]) -> None:
    given_ = {"tries": tries, "at": at, "tags": tags}
    assert CODEC.load(CODEC.dump((to,), given_)) == {"to": to, **given_}


def test_arguments_are_stored_by_name_so_that_any_language_can_write_them() -> None:
    assert CODEC.dump(("a",), {"tries": 1}) == '{"to":"a","tries":1}'
    assert CODEC.load('{"tries": 1, "to": "a"}') == {"to": "a", "tries": 1, "at": None, "tags": []}


def test_a_mutable_default_is_not_shared() -> None:
    CODEC.load('{"to": "a"}')["tags"].append("left over")
    assert CODEC.load('{"to": "a"}')["tags"] == []


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "also needs to"),
        (("a",), {"to": "b"}, "was given to twice"),
        (("a", 1, None, [], 5), {}, "takes 4 arguments, but 5"),
        (("a",), {"tires": 1}, "tires"),
        (("a",), {"tries": "many"}, "tries"),
        ((1,), {}, "to"),
        ((object(),), {}, "cannot take these arguments"),
        (("\ud800",), {}, "cannot take these arguments"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: tuple[Any, ...], kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(BadArguments, match=says):
        CODEC.dump(args, kwargs)


@pytest.mark.parametrize("data", ["", "{", "[]", "null", "{}", '{"to": 1}', '{"to": "a", "extra": 1}', "[" * 100_000])
def test_stored_arguments_that_do_not_fit_are_refused(data: str) -> None:
    with pytest.raises(BadArguments, match="job 'send' cannot take the arguments it was given"):
        CODEC.load(data)


def test_arguments_may_be_as_large_as_the_bound_and_no_larger() -> None:
    room = LARGEST - len('{"to":""}')
    assert len(CODEC.dump(("a" * room,), {})) == LARGEST
    with pytest.raises(TooLarge, match="pass an id"):
        CODEC.dump(("a" * (room + 1),), {})


def test_a_result_comes_back_as_the_type_it_was() -> None:
    assert CODEC.load_result(CODEC.dump_result(timedelta(minutes=5))) == timedelta(minutes=5)


def test_no_result_stores_nothing() -> None:
    assert CODEC.dump_result(None) is None
    assert CODEC.load_result(None) is None


def test_a_result_that_json_cannot_carry_is_refused() -> None:
    with pytest.raises(BadArguments, match="returned what JSON cannot carry"):
        CODEC.dump_result(object())
    with pytest.raises(TooLarge, match="the result of job 'send'"):
        CODEC.dump_result("a" * LARGEST)


def no_ctx() -> None: ...
def positional(ctx: object, a: int, /) -> None: ...
def starred(ctx: object, *a: int) -> None: ...
def double_starred(ctx: object, **a: int) -> None: ...


@pytest.mark.parametrize("function", [no_ctx, positional, starred, double_starred])
def test_a_function_that_cannot_be_a_job_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match="job 'x'"):
        Codec("x", function)


def test_an_annotation_that_cannot_be_found_is_refused() -> None:
    def job(ctx: object, a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigError, match="cannot be found at run time"):
        Codec("x", job)
