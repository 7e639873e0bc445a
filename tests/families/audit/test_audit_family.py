"""The audit family: what a worker does by itself, in a folder and in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.file_servers import BUCKET, PASSWORD, REGION, USER, s3_server
from tests.families.audit.logs import OLD
from tests.integrations.support import Timer

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.families.audit.archive import Archives, key_of
from lamplighter.families.audit.family import AuditFamily
from lamplighter.families.audit.storage import ArchiveAltered, ArchiveDown, ArchiveMissing, open_storage
from lamplighter.families.audit.verifying import Verifying
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.audit import Resource, record


async def test_a_worker_seals_archives_and_verifies_by_itself(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    url = f"file://{tmp_path}/archive"
    timer = Timer()
    settings = Settings(store=f"sqlite:///{tmp_path}/lamplighter.db", audit_archive=url)
    app = App(settings=settings, clock=timer)
    tokens = TokenFamily(app)
    family = AuditFamily(app, tokens)
    async with app:
        database, about = tokens.service.database, [Resource("queue", "mail", "t-1")]
        await database.write(lambda one: record(one, "queue.pause", about, timer() - OLD))
        sealed = await family.seal.enqueue()
        async with app.worker() as worker:
            await app.until_idle(worker)
            assert await sealed.result() == 1
            archived = await family.archive.enqueue()
            await app.until_idle(worker)
            assert (await archived.result())["archived"] == 1
            verified = await family.verify.enqueue()
            await app.until_idle(worker)
            assert await verified.result() == 1
        assert app.meter.audit[("archived",)] == 1
        [archive] = await Archives(database).page()
        (tmp_path / "archive" / archive.key).unlink()
        verified = await family.verify.enqueue()
        async with app.worker() as worker:
            await app.until_idle(worker)
        view = await verified.view()
        assert view.state == "cancelled"
        [chain] = await Verifying(database, None).chains()
        assert (chain.broken or "").startswith("archive missing at 1: ")


async def test_a_place_that_is_none_is_refused_when_the_app_is_opened(tmp_path: Path) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path}/lamplighter.db", audit_archive="ftp://archive")
    app = App(settings=settings)
    AuditFamily(app, TokenFamily(app))
    with pytest.raises(ConfigError, match="audit_archive names no place"):
        await app.__aenter__()


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("file://host/path", None, "absolute path"),
        ("file:///", None, "absolute path"),
        ("file:///a/../b", None, "absolute path"),
        ("s3://bucket/prefix", None, "give audit_archive_key"),
        ("s3://bucket/prefix", "no-colon", "give audit_archive_key"),
        ("s3://bucket/prefix?what=x", "id:key", "needs s3://bucket/prefix"),
    ],
)
def test_what_is_no_place_for_archives_is_refused(url: str, key: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_storage(Settings(audit_archive=url, audit_archive_key=None if key is None else Secret(key)))


async def test_a_bucket_takes_an_object_once_and_gives_it_back() -> None:
    with s3_server() as url:
        place = f"s3://{BUCKET}/logs?region={REGION}&endpoint={url}&insecure=yes"
        settings = Settings(audit_archive=place, audit_archive_key=Secret(f"{USER}:{PASSWORD}"))
        storage = open_storage(settings)
        assert storage is not None
        key = key_of("copper bakery/ü", "2026-01-31", 1, 9)
        assert storage.place == f"s3://{BUCKET}/logs"
        assert await storage.put_new(key, b"one")
        assert not await storage.put_new(key, b"another")
        assert await storage.get(key, 3) == b"one"
        with pytest.raises(ArchiveAltered):
            await storage.get(key, 2)
        await storage.delete(key)
        await storage.delete(key)
        with pytest.raises(ArchiveMissing):
            await storage.get(key, 3)
    with pytest.raises(ArchiveDown) as down:
        await storage.get(key, 3)
    assert PASSWORD not in str(down.value)


def test_no_two_tenants_share_a_key_and_no_tenant_leaves_its_folder() -> None:
    names = ["", "_", "a", "A", "a/b", "a=2F=b", "..", ".", "a.b", "ü", "x" * 400, "x" * 399 + "y", "a b", "=", "=="]
    keys = [key_of(name, "2026-01-31", 1, 9) for name in names]
    assert len(set(keys)) == len(names)
    for key in keys:
        parts = key.split("/")
        assert len(parts) == 5
        assert all(len(part) < 200 and part.strip(".") for part in parts)
    assert keys[0] == "audit/v1/tenant=_/day=2026-01-31/000000000001-000000000009.jsonl.zst"
