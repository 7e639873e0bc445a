from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.secret import REDACTED, Secret, redact_url


def test_a_secret_is_given_to_nobody_who_does_not_ask_for_it() -> None:
    secret = Secret("hunter2")

    assert secret.reveal() == "hunter2"
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>12}", "%s" % secret, repr([secret])]  # noqa: UP031
    assert all(REDACTED in text and "hunter2" not in text for text in shown)


@pytest.mark.parametrize("encode", [json.dumps, msgspec.json.encode, msgspec.msgpack.encode])
def test_a_secret_is_written_by_no_encoder(encode: object) -> None:
    assert callable(encode)
    with pytest.raises(TypeError):
        encode({"token": Secret("hunter2")})


def test_a_secret_has_no_attributes_to_dump() -> None:
    assert not dataclasses.is_dataclass(Secret)
    with pytest.raises(TypeError):
        vars(Secret("hunter2"))


def test_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret("ü") == Secret("ü") != Secret("u")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("postgresql://ann@db/jobs", "postgresql://ann@db/jobs"),
        ("postgresql://ann:pw@db:5432/jobs", "postgresql://ann:[REDACTED]@db:5432/jobs"),
        ("redis://:pw@cache/0", "redis://:[REDACTED]@cache/0"),
        (
            "postgresql://db/jobs?user=ann&password=pw&sslmode=require",
            "postgresql://db/jobs?user=ann&password=[REDACTED]&sslmode=require",
        ),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1).map(lambda text: f"<{text}>"))
def test_no_password_is_strange_enough_to_show_through(password: str) -> None:
    assert password not in redact_url(f"postgresql://ann:{password}@db/jobs")
