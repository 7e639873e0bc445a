from __future__ import annotations

import base64

import pytest
from tests.cli.program import Program

KEY = base64.b64encode(bytes(range(1, 33))).decode()


def test_every_setting_is_shown_with_where_it_came_from(cli: Program) -> None:
    (cli.folder / "lamplighter.toml").write_text('concurrency = 7\ngrace = "5s"\n')
    shown = cli("config", "--json", environ={"LAMPLIGHTER_GRACE": "1m"}).json
    assert shown["concurrency"] == {"value": "7", "source": f"file {cli.folder}/lamplighter.toml"}
    assert shown["grace"] == {"value": "1m", "source": "environment LAMPLIGHTER_GRACE"}
    assert shown["lease"] == {"value": "30s", "source": "default"}
    table = cli("config").out.splitlines()
    assert table[0].split() == ["setting", "value", "from"]
    assert table[4].split() == ["concurrency", "7", "file", f"{cli.folder}/lamplighter.toml"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secrets_are_not_shown(cli: Program, form: list[str]) -> None:
    told = cli(
        "config",
        *form,
        environ={
            "LAMPLIGHTER_STORE": "postgresql://lamp:hunter2@db/jobs",
            "LAMPLIGHTER_DATABASE": "postgresql://db/jobs?password=hunter3",
            "LAMPLIGHTER_ENCRYPTION_KEYS": f"k1:{KEY}",
            "LAMPLIGHTER_MWAP_ENCRYPTION_KEY": "hunter4",
        },
    )
    assert told.code == 0
    assert "hunter" not in told.out
    assert KEY not in told.out
    assert told.out.count("[REDACTED]") == 4


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("concurrency: 7", "is not a TOML file of settings"),
        ("concurency = 7", "did you mean 'concurrency'?"),
        ("concurrency = 0", "concurrency is 0"),
        ('log_level = "loud"', "give one of debug, info, warning, error"),
        ("\xff", "is not a TOML file of settings"),
    ],
)
def test_a_wrong_file_is_one_sentence(cli: Program, text: str, wrong: str) -> None:
    (cli.folder / "lamplighter.toml").write_bytes(text.encode("latin-1"))
    for command in (["config"], ["jobs"], ["work", "shop:app"], ["up"], ["integrations"], ["migrate", "--check"]):
        answer = cli(*command, "--json")
        assert answer.code == 2
        assert wrong in answer.sentence
        assert answer.json == {"error": answer.sentence}


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("LAMPLIGHTER_CONCURENCY", "7", "did you mean 'concurrency'?"),
        ("LAMPLIGHTER_GRACE", "soon", "grace is 'soon' (environment LAMPLIGHTER_GRACE): give a duration"),
        ("LAMPLIGHTER_STORE", "jobs.db", "store is not usable (environment LAMPLIGHTER_STORE): give a URL"),
        ("LAMPLIGHTER_CONFIG", "absent.toml", "absent.toml cannot be read"),
        ("LAMPLIGHTER_ENCRYPTION_KEYS", "hunter2", "encryption_keys is not usable"),
    ],
)
def test_a_wrong_variable_is_one_sentence(cli: Program, name: str, value: str, wrong: str) -> None:
    answer = cli("config", environ={name: value})
    assert answer.code == 2
    assert wrong in answer.sentence
    assert "hunter2" not in answer.sentence


def test_version_tells_what_it_runs_on(cli: Program) -> None:
    assert cli("version", "--json").json.keys() == {"lamplighter", "python", "sqlite"}
    assert cli("version").out == cli("--version").out
    assert cli("version").out.startswith("lamplighter  ")
