from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.config import Loaded, Row, Settings, load
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret

KEY = base64.b64encode(bytes(range(32))).decode()


def write(folder: Path, text: str, name: str = "lamplighter.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(tmp_path: Path, flags: Mapping[str, object] = MappingProxyType({}), /, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags=flags, environ=environ, cwd=tmp_path)
    message = str(caught.value)
    assert message.endswith((".", "?"))
    assert "\n" not in message
    return message


def row(loaded: Loaded, key: str) -> Row:
    return next(row for row in loaded.describe() if row.key == key)


def test_without_any_configuration_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load(environ={}, cwd=tmp_path)

    assert loaded.settings == Settings()
    assert {row.source for row in loaded.describe()} == {"default"}


def test_each_source_wins_over_the_one_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, "concurrency = 1\nlease = '1m'\nkeep_done = '1d'")
    environ = {"LAMPLIGHTER_CONCURRENCY": "2", "LAMPLIGHTER_LEASE": "2m"}

    loaded = load(flags={"concurrency": 3, "mode": None}, environ=environ, cwd=tmp_path)

    assert row(loaded, "concurrency") == ("concurrency", "3", "flag --concurrency")
    assert row(loaded, "lease") == ("lease", "2m", "environment LAMPLIGHTER_LEASE")
    assert row(loaded, "keep_done") == ("keep_done", "1d", f"file {path}")
    assert row(loaded, "mode") == ("mode", "development", "default")


def test_text_and_typed_values_mean_the_same(tmp_path: Path) -> None:
    write(tmp_path, "concurrency = 7\nqueues = ['mail', 'tokens']\ngrace = 90\nmode = 'production'")
    environ = {"CONCURRENCY": "7", "QUEUES": "mail, tokens,mail", "GRACE": "1.5m", "MODE": "Production"}

    from_file = load(environ={}, cwd=tmp_path).settings
    from_environment = load(environ={f"LAMPLIGHTER_{k}": v for k, v in environ.items()}, cwd=tmp_path / "none").settings

    assert from_file == from_environment
    assert from_file.queues == ("mail", "tokens")
    assert from_file.grace == timedelta(seconds=90)


def test_values_of_a_claim_may_have_spaces_in_them(tmp_path: Path) -> None:
    told = load(environ={"LAMPLIGHTER_OIDC_OPERATORS": "platform team, on call ,on call"}, cwd=tmp_path).settings
    assert told.oidc_operators == ("platform team", "on call")
    for wrong in ("x" * 201, "two\nlines"):
        assert "give at most 100 values" in refused(tmp_path, LAMPLIGHTER_OIDC_OPERATORS=wrong)


def test_an_empty_list_of_queues_takes_back_what_the_file_chose(tmp_path: Path) -> None:
    write(tmp_path, "queues = ['mail']")

    assert load(environ={"LAMPLIGHTER_QUEUES": ""}, cwd=tmp_path).settings.queues == ()


def test_another_file_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, "concurrency = 1")
    write(tmp_path, "concurrency = 2", "other.toml")

    assert load(environ={"LAMPLIGHTER_CONFIG": "other.toml"}, cwd=tmp_path).settings.concurrency == 2


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert "gone.toml cannot be read (No such file" in refused(tmp_path, LAMPLIGHTER_CONFIG="gone.toml")


@pytest.mark.parametrize("text", ["lease = ", "lease = '1s'\nlease = '2s'", "x = " + "[" * 100_000, "#" * 300_000])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    assert str(write(tmp_path, text)) in refused(tmp_path)


def test_a_file_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "lamplighter.toml").write_bytes(b"mode = '\xff'")

    assert "lamplighter.toml is not a TOML file" in refused(tmp_path)


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    meant = "did you mean 'concurrency'?"

    assert meant in refused(tmp_path, {"concurency": 1})
    assert meant in refused(tmp_path, LAMPLIGHTER_CONCURENCY="1")
    path = write(tmp_path, "concurency = 1")
    assert refused(tmp_path) == f"no setting is called 'concurency' (file {path}): {meant}"


def test_an_unknown_key_like_no_other_is_refused_with_where_to_look(tmp_path: Path) -> None:
    assert "`lamplighter config`" in refused(tmp_path, LAMPLIGHTER_XYZ="1")


def test_variables_that_kubernetes_adds_for_a_service_are_no_settings(tmp_path: Path) -> None:
    environ = {"LAMPLIGHTER_PORT": "tcp://10.0.0.1:80", "LAMPLIGHTER_PORT_80_TCP": "x", "LAMPLIGHTER_SERVICE_HOST": "x"}

    assert load(environ=environ, cwd=tmp_path).settings == Settings()


def test_variables_that_name_servers_for_tests_are_no_settings(tmp_path: Path) -> None:
    environ = {"LAMPLIGHTER_TEST_POSTGRES": "postgresql://localhost/test"}

    assert load(environ=environ, cwd=tmp_path).settings == Settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("concurrency", "0"),
        ("concurrency", "10001"),
        ("concurrency", "many"),
        ("concurrency", True),
        ("concurrency", 1.0),
        ("keep_done_count", "-1"),
        ("lease", "0.5s"),
        ("lease", "61m"),
        ("lease", "soon"),
        ("keep_failed", "3651d"),
        ("mode", "prod"),
        ("log_level", ""),
        ("queues", "a b"),
        ("queues", [1]),
        ("queues", 1),
        ("queues", ["x" * 65]),
        ("queues", [f"q{n}" for n in range(101)]),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_source_and_what_is_accepted(
    tmp_path: Path, key: str, value: object
) -> None:
    message = refused(tmp_path, {key: value})

    assert re.fullmatch(rf"{key} is .* \(flag --{key.replace('_', '-')}\): give .+\.", message)


def test_an_error_shows_a_long_value_cut_short(tmp_path: Path) -> None:
    assert len(refused(tmp_path, LAMPLIGHTER_LEASE="x" * 100_000)) < 300


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("store", "hunter2"),
        ("store", ""),
        ("database", "postgres:hunter2@db"),
        ("encryption_keys", "k1:hunter2"),
        ("encryption_keys", f"k1:{KEY},hunter2"),
        ("mwap_encryption_key", "hunter2\nhunter2"),
    ],
)
def test_a_private_value_is_in_no_error(tmp_path: Path, key: str, value: str) -> None:
    message = refused(tmp_path, **{f"LAMPLIGHTER_{key.upper()}": value})

    assert message.startswith(f"{key} is not usable (environment LAMPLIGHTER_")
    assert "hunter2" not in message


def test_secrets_are_in_no_description_and_no_repr(tmp_path: Path) -> None:
    environ = {
        "LAMPLIGHTER_STORE": "redis://:hunter2@cache/0",
        "LAMPLIGHTER_ENCRYPTION_KEYS": f"k2:{KEY}, k1:{KEY}",
        "LAMPLIGHTER_MWAP_ENCRYPTION_KEY": "hunter2",
    }
    loaded = load(environ=environ, cwd=tmp_path)

    assert loaded.settings.encryption_keys == Secret(f"k2:{KEY}, k1:{KEY}")
    assert row(loaded, "mwap_encryption_key").value == "[REDACTED]"
    assert row(loaded, "store").value == "redis://:[REDACTED]@cache/0"
    for shown in (repr(loaded), str(loaded.describe()), repr(loaded.settings.__rich_repr__())):
        assert "hunter2" not in shown
        assert KEY not in shown


@given(st.sampled_from(Settings.__struct_fields__), st.text() | st.integers() | st.floats() | st.lists(st.text()))
def test_whatever_is_given_is_read_or_refused_in_one_sentence(key: str, value: object) -> None:
    try:
        load(flags={key: value}, environ={"LAMPLIGHTER_CONFIG": os.devnull})
        message = ""
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message
