"""What is refused before anything is stored, in one sentence that shows no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.families.files.sources.homes import LOGIN

from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.families.files.sources.opening import check_source, open_source
from lamplighter.families.files.sources.place import Bucket, Credentials, read_bucket, read_credentials
from lamplighter.integrations.provider import load_facts

LONG = "x" * 2000


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("ftp", "ftp://files.example"),
        ("webdav", "http://files.example/dav/"),
        ("webdav", "https://ada:hush-hush@files.example/dav/"),
        ("webdav", "https://files.example/?folder=1"),
        ("webdav", f"https://files.example/{LONG}"),
        ("s3", "https://bucket.example"),
        ("s3", "s3://UPPER/x"),
        ("s3", "s3://bucket/a//b"),
        ("s3", "s3://bucket/../b"),
        ("s3", "s3://key:hush-hush@bucket/x"),
        ("s3", "s3://bucket?colour=red"),
        ("s3", "s3://bucket?region=a/b"),
        ("s3", "s3://bucket?virtual_hosted=perhaps"),
        ("s3", "s3://bucket?endpoint=http://files.example"),
        ("s3", "s3://bucket?endpoint=https://ada:hush-hush@files.example"),
        ("s3", "s3://bucket?endpoint=file:///etc&insecure=yes"),
        ("s3", "s3://[broken"),
        ("folder", "/etc"),
        ("folder", "relative"),
        ("folder", "/nowhere/../etc"),
        ("folder", "/\0"),
    ],
)
def test_a_place_that_is_none_is_refused(kind: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        check_source(kind, place, credentials=LOGIN, roots=[tmp_path])
    assert "hush-hush" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("drive", "place"),
    [
        ("gdrive", "/by/path"),
        ("gdrive", "a' or 'b"),
        ("onedrive", "a/b"),
        ("dropbox", "by-name"),
        ("box", "abc"),
        (None, ""),
    ],
)
def test_a_place_in_a_drive_has_the_form_of_that_drive(drive: str | None, place: str) -> None:
    with pytest.raises(ConfigError):
        check_source("drive", place, drive=drive)


def test_a_place_that_may_be_is_taken(tmp_path: Path) -> None:
    check_source("drive", "", drive="gdrive")
    check_source("drive", "1AbC_-", drive="gdrive")
    check_source("drive", "/by/path #1", drive="onedrive")
    check_source("drive", "/by/path", drive="dropbox")
    check_source("drive", "4711", drive="box")
    check_source("webdav", "https://files.example/dav/", credentials=LOGIN)
    check_source("folder", str(tmp_path), roots=[tmp_path])
    assert read_bucket(
        "s3://bucket/a/b/?region=eu-central-1&endpoint=http://minio.internal:9000/&insecure=yes"
    ) == Bucket(name="bucket", prefix="a/b", region="eu-central-1", endpoint="http://minio.internal:9000")


async def test_folders_are_those_that_the_operator_named_and_none_by_default(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "out").symlink_to("/etc")
    for place, roots in ((inside, ()), (tmp_path, [inside]), (inside / "out", [inside]), (inside / "none", [inside])):
        with pytest.raises(ConfigError, match="file_roots"):
            async with open_source("folder", str(place), roots=roots):
                pass
    assert Settings().file_roots == ()
    given = load(environ={"LAMPLIGHTER_FILE_ROOTS": f"{inside}, /srv/files"}, cwd=tmp_path).settings
    assert given.file_roots == (str(inside), "/srv/files")
    with pytest.raises(ConfigError, match="absolute paths"):
        load(environ={"LAMPLIGHTER_FILE_ROOTS": "relative"}, cwd=tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"user": "ada"},
        {"user": "", "password": "x"},
        {"user": "a:b", "password": "x"},
        {"user": "ada", "password": "hush-hush\n"},
        {"user": "ada", "password": LONG},
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_and_not_shown(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        read_credentials(given)
    assert "hush-hush" not in str(refused.value)
    with pytest.raises(ConfigError, match="needs credentials"):
        check_source("webdav", "https://files.example/")


def test_which_provider_has_which_drive_is_data() -> None:
    known = load_facts()
    assert {slug for slug, facts in known.items() if facts.drive} == {"gdrive", "onedrive", "dropbox", "box"}
    assert repr(Credentials("ada", Secret("hush-hush"))).count("hush-hush") == 0
