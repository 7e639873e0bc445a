"""A plan as an operator writes it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lamplighter.capacity.plan import Crowd
from lamplighter.capacity.read import read_plan
from lamplighter.core.errors import ConfigError

FILE = """
integrations = 1_000
connected_over = "1h"
tokens = "any-age"

[providers.gdrive]
share = 60
quota = 300

[providers.acme]
lifetime = "20m"
limit = 5
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "population.toml"
    file.write_text(text)
    return file


def test_without_a_word_it_is_a_million_of_the_known_providers() -> None:
    plan = read_plan(None, {})
    assert plan.integrations == 1_000_000
    assert [crowd.slug for crowd in plan.crowds] == ["gdrive", "dropbox", "onedrive", "box", "github", "slack"]
    assert {crowd.integrations for crowd in plan.crowds} <= {166_666, 166_667}
    assert plan.crowds[1].lifetime == timedelta(hours=4)  # as the facts of that provider say


def test_a_file_tells_all_of_it(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, FILE), {"workers": None})
    assert (plan.connected_over, plan.tokens, plan.workers) == (timedelta(hours=1), "any-age", 1)
    assert plan.crowds == (
        Crowd(slug="gdrive", integrations=600, quota=300),
        Crowd(slug="acme", integrations=400, lifetime=timedelta(minutes=20), limit=5),
    )


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    flags = {"integrations": "10", "tokens": "new", "latency": "1s"}
    plan = read_plan(written(tmp_path, FILE), flags, ["box:share=50%:at-once=7", "gdrive"])
    assert (plan.tokens, plan.latency) == ("new", timedelta(seconds=1))
    assert [(crowd.slug, crowd.integrations, crowd.at_once) for crowd in plan.crowds] == [
        ("box", 5, 7),
        ("gdrive", 5, 50),
    ]


def test_shares_that_do_not_divide_lose_nobody() -> None:
    plan = read_plan(None, {"integrations": 1000}, ["aa", "bb", "cc"])
    assert sum(crowd.integrations for crowd in plan.crowds) == 1000
    assert {crowd.integrations for crowd in plan.crowds} == {333, 334}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gdrive:shaer=60%", "provider gdrive has no 'shaer': did you mean 'share'?"),
        ("gdrive:60%", "'60%' in 'gdrive:60%' is no KEY=VALUE: write for example gdrive:lifetime=1h."),
        ("gdrive:lifetime=1s", "lifetime of provider gdrive cannot be '1s': give a duration from 30s to 366d"),
        ("gdrive:limit=nan", "limit of provider gdrive cannot be 'nan': give refreshes a second, such as 50."),
        (
            "gdrive:share=0",
            "share of provider gdrive cannot be '0': give a percentage of all integrations, such as 60%.",
        ),
        ("gdrive:share=60", "the shares of gdrive come to 60 %: let them be 100 % together"),
        ("Google", "'Google' is no provider's name"),
    ],
)
def test_a_mistyped_provider_is_answered_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_plan(None, {}, [text])
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("providers", [["aa:share=100", "bb"], ["aa:share=60", "bb:share=60"]])
def test_shares_that_leave_nothing_or_too_much_are_refused(providers: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"the shares of aa, bb come to (100|120) %"):
        read_plan(None, {}, providers)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("integration = 5", "a plan has no 'integration': did you mean 'integrations'?"),
        ("workers = true", "workers of a plan cannot be True: give a whole number from 1 to 10000."),
        ("providers = 5", "providers of a population file are tables"),
        ("providers.gdrive = 5", "providers of a population file are tables"),
        ("= 5", "cannot read the population file"),
        ("integrations = []", "integrations of a plan cannot be []"),
        ('tokens = ["new"]', "tokens of a plan cannot be ['new']"),
        ("[providers.gdrive]\nshare = [1]", "share of provider gdrive cannot be [1]"),
    ],
)
def test_a_file_that_is_wrong_is_answered_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_plan(written(tmp_path, text), {})
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("data", [b"\xff", b"#" * 300_000])
def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path, data: Any) -> None:
    file = tmp_path / "population.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match="cannot read the population file"):
        read_plan(file, {})
