"""Chains of the audit log: whatever is changed after it was sealed shows, wherever it lies by then."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest
import zstandard
from sqlalchemy import Connection, delete, insert, select, update
from tests.families.audit.logs import NOW, OLD, Log, us

from lamplighter.core.errors import ConfigError
from lamplighter.families.audit.packing import Unpacker
from lamplighter.families.audit.verifying import Verifying, read_head, write_head
from lamplighter.integrations.auditing.chain import content_of, link, stored
from lamplighter.integrations.auditing.sealing import Head
from lamplighter.integrations.storage.audit_tables import audit_chains
from lamplighter.integrations.storage.tables import audit

YOUNG = timedelta(days=1)


async def ten(log: Log) -> None:
    """Five that are archived, five that are live, of one tenant; and one of no single one."""
    await log.write(about=[f"q-{n}" for n in range(5)], ago=OLD)
    await log.write(about=[f"q-{n}" for n in range(5)], ago=YOUNG)
    await log.write(tenant=None, ago=YOUNG)
    assert await log.seal() == 11
    assert (await log.archive()).records == 5


async def test_records_are_chained_by_tenant_in_the_order_in_which_they_were_written(log: Log) -> None:
    await ten(log)
    assert ((await log.chain()).seq, (await log.chain("")).seq) == (10, 1)
    assert (await log.verify()).places == 10
    assert await log.is_whole()
    assert (await log.chain()).broken is None
    assert (await log.chain()).verified_at == NOW


async def test_whoever_reads_the_docs_can_compute_a_hash(in_file: Log) -> None:
    await in_file.write()
    await in_file.seal()
    row = await in_file.database.read(lambda one: one.execute(stored()).one())
    text = json.dumps({**content_of(row), "seq": 1}, sort_keys=True, separators=(",", ":"))
    before = hashlib.sha256(b"lamplighter audit 1\nt-1").hexdigest()
    assert row.hash == hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


async def test_a_record_that_was_committed_late_comes_later_in_its_chain(log: Log) -> None:
    await log.write(about=["early"], ago=YOUNG)
    await log.seal()
    await log.write(about=["late"], ago=OLD)
    await log.seal()
    statement = select(audit.c.resource_id).order_by(audit.c.seq)
    assert await log.database.read(lambda one: list(one.execute(statement).scalars())) == ["early", "late"]
    assert await log.is_whole()


@pytest.mark.parametrize(
    ("values", "what", "seq"),
    [
        ({"user_id": "somebody else"}, "altered", 8),
        ({"details": {}}, "altered", 8),
        ({"hash": "0" * 64}, "altered", 8),
        ({"seq": None, "chain": None}, "missing", 8),
        ({"seq": 99}, "rewritten", 99),
    ],
)
async def test_what_is_changed_in_the_table_shows(in_file: Log, values: dict[str, object], what: str, seq: int) -> None:
    await ten(in_file)
    await in_file.tamper((audit.c.chain == "t-1") & (audit.c.seq == 8), **values)
    verdict = await in_file.verify()
    assert (verdict.what, verdict.seq) == (what, seq)
    assert f"{what} at {seq}: " in ((await in_file.chain()).broken or "")


async def test_records_that_changed_places_are_told_from_ones_that_were_altered(log: Log) -> None:
    await ten(log)

    def swap(connection: Connection) -> None:
        for before, after in ((7, -1), (9, 7), (-1, 9)):
            place = update(audit).where(audit.c.chain == "t-1", audit.c.seq == before).values(seq=after)
            connection.execute(place)

    await log.database.write(swap)
    verdict = await log.verify()
    assert (verdict.what, verdict.seq) == ("reordered", 7)
    assert "at 9 now" in (verdict.says or "")


async def test_a_tail_that_is_cut_shows_to_whoever_noted_the_head(in_file: Log) -> None:
    await ten(in_file)
    noted = await in_file.chain()
    ninth = stored().where(audit.c.seq == 9, audit.c.chain == "t-1")
    before = await in_file.database.read(lambda one: one.execute(ninth).one())
    await in_file.database.write(lambda one: one.execute(delete(audit).where(audit.c.seq == 10)))
    cut = update(audit_chains).where(audit_chains.c.chain == "t-1").values(seq=9, hash=before.hash)
    await in_file.database.write(lambda one: one.execute(cut))
    verdict = await in_file.verify(heads=[read_head(write_head(noted))])
    assert (verdict.what, verdict.seq) == ("rewritten", 9)


async def test_a_chain_that_was_written_anew_from_some_place_on_shows_by_what_archives_remember(in_file: Log) -> None:
    """Whoever may write the table can compute hashes as well as we can."""
    await ten(in_file)
    rows = await in_file.database.read(
        lambda one: one.execute(stored().where(audit.c.chain == "t-1").order_by(audit.c.seq)).all()
    )
    [archive] = await in_file.archives()
    before = (await in_file.chain()).hash

    def forge(connection: Connection) -> None:
        unpacker = Unpacker(archive.key, in_file.objects()[0].read_bytes())
        hash_ = unpacker.some(100)[-1].hash
        for row in rows:
            content = {**content_of(row), "user_id": "innocent"}
            hash_ = link(hash_, row.seq, content)
            forged = update(audit).where(audit.c.id == row.id).values(user_id="innocent", hash=hash_)
            connection.execute(forged)
        head = update(audit_chains).where(audit_chains.c.chain == "t-1").values(hash=hash_)
        connection.execute(head)

    await in_file.database.write(forge)
    verdict = await in_file.verify()
    assert verdict.what == "rewritten"
    assert "the archive audit/v1/tenant=t-1/" in (verdict.says or "")
    assert (await in_file.verify(heads=[Head("t-1", 10, before)])).what == "rewritten"


async def test_an_archive_that_is_gone_or_altered_shows(in_file: Log) -> None:
    await ten(in_file)
    [path] = in_file.objects()
    content = path.read_bytes()
    path.unlink()
    assert ((await in_file.verify()).what, (await in_file.verify()).seq) == ("archive missing", 1)
    path.write_bytes(content[:-9])
    assert (await in_file.verify()).what == "archive altered"
    text = zstandard.ZstdDecompressor().decompress(content, max_output_size=1_000_000)
    path.write_bytes(zstandard.ZstdCompressor(level=19).compress(text.replace(b"queue.pause", b"queue.drain", 1)))
    assert (await in_file.verify()).what in {"altered", "archive altered"}
    path.write_bytes(content)
    assert await in_file.is_whole()


async def test_records_of_the_version_before_are_sealed_too(log: Log) -> None:
    row: dict[str, object] = {
        "id": "0198c0de-7a3f-7c51-8a64-52b0c8f1d2e3",
        "tenant_id": "t-1",
        "user_id": "system",
        "action": "integration.connected",
        "resource_type": "integration",
        "resource_id": "i-1",
        "details": {},
        "result": "success",
        "error_message": None,
        "at": us(OLD),
    }
    await log.database.write(lambda one: one.execute(insert(audit), [row]))
    assert await log.seal() == 1
    assert await log.is_whole()


@pytest.mark.parametrize(
    "written", ["", "t-1", "t-1:0:" + "0" * 64, "t-1:x:" + "0" * 64, "t-1:1:short", ":1:" + "0" * 64]
)
def test_what_is_no_head_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="is no head"):
        read_head(written)


def test_a_head_names_its_chain_whatever_is_in_the_name() -> None:
    head = "a:b:7:" + "0" * 64
    assert read_head(head) == Head("a:b", 7, "0" * 64)
    assert read_head(head.replace("a:b", "_")).chain == ""


async def test_a_chain_grows_while_it_is_verified(in_file: Log) -> None:
    await ten(in_file)
    chain = await in_file.chain()
    await in_file.write(ago=OLD)
    await in_file.seal()
    await in_file.archive()  # its first line tells of a head that is later than the one that was read
    verdict = await Verifying(in_file.database, in_file.storage).verify(chain)
    assert (verdict.what, verdict.places) == (None, 11)
