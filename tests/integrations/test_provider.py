"""Provider facts: what ships, what an operator may change, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import ProviderFacts, load_facts

FACTS = ProviderFacts(
    slug="lantern", display_name="Lantern", auth_url="https://lantern.example/a", token_url="https://lantern.example/t"
)


def test_six_providers_ship_and_those_that_rotate_are_known() -> None:
    facts = load_facts()
    assert {slug: known.rotates for slug, known in facts.items()} == {
        "gdrive": False,
        "dropbox": False,
        "onedrive": True,
        "box": True,
        "github": True,
        "slack": True,
    }
    assert {known.max_concurrency for known in facts.values()} == {50}


def test_an_operator_file_overrides_fields_and_adds_providers(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(
        "[box]\nmax_per_second = 5\n"
        '[lantern]\ndisplay_name = "Lantern"\nauth_url = "http://127.0.0.1:8000/a"\ntoken_url = "http://[::1]/t"\n'
        'client_auth = "basic"\nerror_codes = { gone = "revoked" }\n'
    )
    facts = load_facts(file)
    assert facts["box"].max_per_second == 5
    assert facts["box"].token_url == load_facts()["box"].token_url
    assert facts["lantern"].error_codes == {"gone": "revoked"}


def test_a_provider_does_not_show_its_client_secret() -> None:
    provider = FACTS.with_client("id", Secret("hush-hush"))
    assert provider.token_url == FACTS.token_url
    assert provider.client_secret.reveal() == "hush-hush"
    assert "hush-hush" not in repr(provider)


@pytest.mark.parametrize(
    "url",
    [
        "http://lantern.example/t",
        "https://user:hush-hush@lantern.example/t",
        "https://@lantern.example/t",
        "https:///t",
        "https://lantern.example:99999/t",
        "https://lantern.example/t#part",
        "https://lantern.example/a b",
        "https://lantern.example/\nt",
        "http://127.0.0.1.evil.example/t",
        "ftp://127.0.0.1/t",
        "https://[broken/t",
        "lantern.example",
        "",
        pytest.param("https://lantern.example/" + "a" * 2000, id="too-long"),
    ],
)
@pytest.mark.parametrize("field", ["auth_url", "token_url", "revoke_url", "health_url"])
def test_an_unsafe_url_is_refused_and_not_shown(field: str, url: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} of provider lantern must be") as caught:
        msgspec.structs.replace(FACTS, **{field: url})
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/t", "http://127.8.8.8/t", "http://[::1]:80/t", "https://a.example/?b=c"]
)
def test_loopback_needs_no_tls(url: str) -> None:
    assert msgspec.structs.replace(FACTS, token_url=url).token_url == url


@pytest.mark.parametrize(
    "change",
    [
        {"slug": "x"},
        {"slug": "x" * 21},
        {"slug": "Lantern"},
        {"slug": "lantern\n"},
        {"display_name": ""},
        {"default_lifetime": 0},
        {"default_lifetime": 10**9},
        {"max_concurrency": 0},
        {"max_per_second": -1.0},
        {"max_per_second": float("nan")},
    ],
)
def test_a_value_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        msgspec.structs.replace(FACTS, **change)


@pytest.mark.parametrize(
    "content",
    [
        b"not toml",
        b"\xff",
        b"box = 1",
        b"[box]\ncolour = 'red'",
        b"[box]\nrotates = 'yes'",
        b"[box]\nerror_codes = { gone = 'sad' }",
        b"[new]\ndisplay_name = 'New'",
        b"[box]\nslug = 'other'\nmax_per_second = 0",
        pytest.param(b"#" * 300_000, id="too-large"),
    ],
)
def test_a_wrong_operator_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        load_facts(file)


def test_a_missing_operator_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_facts(tmp_path / "absent.toml")
