"""Records as they are in files: Extended JSON, CSV, plain JSON, and MWAP's documents."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.imports import plain, source
from lamplighter.integrations.imports.extended import plain as extended
from lamplighter.integrations.imports.fault import BadRecord
from lamplighter.integrations.imports.mwap import Mwap
from lamplighter.integrations.imports.seen import Seen
from lamplighter.integrations.imports.source import LONGEST_RECORD, Piece, find_format, pieces
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.vault import MwapCipher

CIPHER = MwapCipher("a-secret-of-mwap-that-is-long-enough")
MWAP = Mwap(CIPHER, load_facts())
OID = "65f0a1b2c3d4e5f607182930"
SECRET = "ya29.nobody-may-see-this"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
milliseconds = st.integers(0, 7_000_000_000_000)
texts = st.text(st.characters(exclude_categories=["Cs"]))
tokens = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
oids = st.text("0123456789abcdef", min_size=24, max_size=24)


def piece(value: object) -> Piece:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Piece("line 1", data, len(data))


def written(tmp_path: Path, data: bytes, name: str = "file.json") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


# Extended JSON

values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), texts,
        st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
        milliseconds.map(lambda ms: EPOCH + timedelta(milliseconds=ms)),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def canonical(value: Any) -> Any:
    """As `mongoexport --jsonFormat=canonical` writes it."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return {"$numberLong": str(value)}
        case float():
            return {"$numberDouble": repr(value)}
        case datetime():
            return {"$date": {"$numberLong": str((value - EPOCH) // timedelta(milliseconds=1))}}
        case list():
            return [canonical(one) for one in value]
        case _:
            return {name: canonical(one) for name, one in value.items()}


def relaxed(value: Any) -> Any:
    """As `mongoexport` writes it by default."""
    match value:
        case datetime():
            return {"$date": value.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        case list():
            return [relaxed(one) for one in value]
        case dict():
            return {name: relaxed(one) for name, one in value.items()}
        case _:
            return value


@given(values)
def test_what_mongoexport_wrote_reads_the_same_in_both_forms(value: Any) -> None:
    assert extended(json.loads(json.dumps(canonical(value)))) == value
    assert extended(json.loads(json.dumps(relaxed(value)))) == value


@given(oids)
def test_an_object_id_is_its_hexadecimal_text(oid: str) -> None:
    assert extended({"_id": {"$oid": oid.upper()}}) == {"_id": oid}


@pytest.mark.parametrize("bad", [
    {"$oid": "short"}, {"$oid": 7}, {"$date": "yesterday"}, {"$date": {}}, {"$date": {"$numberLong": "1e3"}},
    {"$date": True}, {"$date": {"$numberLong": "9" * 19}}, {"$numberLong": 7}, {"$numberDouble": "seven"},
    {"$numberInt": None},
])  # fmt: skip
def test_a_broken_wrapper_is_refused_by_its_name_alone(bad: dict[str, Any]) -> None:
    [name] = bad
    with pytest.raises(BadRecord) as refused:
        extended({"a": [bad]})
    assert str(refused.value) == f"it holds a {name} that is none: export it again."


def test_no_number_is_no_number_and_depth_has_an_end() -> None:
    assert extended({"$numberDouble": "NaN"}) is None
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    with pytest.raises(BadRecord, match="deeper than 20"):
        extended(deep)


# Files


def test_a_file_is_recognised_by_what_is_in_it(tmp_path: Path) -> None:
    for data, name, found in (
        (b'\xef\xbb\xbf [{"tenant_id": "t"}]', "x", "json"),
        (b'{"tenant_id": "t"}\n', "x.csv", "json"),
        (b'{"_id": 1, "providerId": "p"}\n', "x.json", "mwap"),
        (b"tenant_id,provider\n", "x", "csv"),
        (b"nonsense", "x.jsonl", "json"),
        (b"", "x.csv", "json"),
    ):
        assert find_format(written(tmp_path, data, name)) == found, data


def test_a_file_that_cannot_be_read_as_a_whole_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LARGEST_ARRAY", 100)
    for data, words in (
        ('{"a": 1}\n'.encode("utf-16"), "UTF-8"),
        (b"{\n  'a': 1\n}", "one document a line"),
        (b'[{"a": 1}, {"a"', "no JSON array"),
        (b"[" + b'{"a": 1},' * 20 + b'{"a": 1}]', "one document a line"),
    ):
        with pytest.raises(ConfigError, match=words):
            list(pieces(written(tmp_path, data)))
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match=r"cannot read .*: name a file"):
            find_format(path)


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    found = list(pieces(written(tmp_path, b'\xef\xbb\xbf{"a":1}\r\n\r\n{"a":2}\n   \n{"a":3}')))
    assert [(one.where, json.loads(one.text())["a"]) for one in found] == [("line 1", 1), ("line 3", 2), ("line 5", 3)]
    found = list(pieces(written(tmp_path, b'[{"a":1},\n {"a":2}]')))
    assert [(one.where, one.text()) for one in found] == [("record 1", '{"a":1}'), ("record 2", '{"a":2}')]


def test_an_endless_line_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with path.open("wb") as file:
        file.write(b'{"a":1}\n{"a":"')
        file.writelines(b"x" * 1_000_000 for _ in range(20))
        file.write(b'"}\n{"a":3}\n')
    tracemalloc.start()
    try:
        found = list(pieces(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [one.where for one in found] == ["line 1", "line 2", "line 3"]
    assert sum(one.size for one in found) == path.stat().st_size
    assert peak < 8 * LONGEST_RECORD
    with pytest.raises(BadRecord, match="longer than 256 KiB"):
        found[1].text()


# Plain JSON and CSV


@given(st.lists(st.tuples(tokens, tokens, st.text("äß日 \"',;x", max_size=20)), max_size=5))
def test_what_a_csv_writer_quotes_comes_back(rows: list[tuple[str, str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("tenant_id", "provider", "tenant_name"), *rows])
    lines = iter([piece(line.encode()) for line in out.getvalue().splitlines()])
    read = plain.csv_reader(lines)
    assert [tuple(read(line).values()) for line in lines] == [tuple(cell.strip() for cell in row) for row in rows]


@given(tokens, tokens, milliseconds.filter(lambda ms: ms >= 946_684_800_000))
def test_an_integration_is_the_same_from_json_and_from_csv(access: str, refresh: str, ms: int) -> None:
    moment = EPOCH + timedelta(milliseconds=ms)
    fields = {
        "tenant_id": "t-1", "provider": "gdrive", "access_token": access, "refresh_token": refresh,
        "expires_at": moment.isoformat(), "scopes": "a b", "status": "expired", "id": "i-1",
    }  # fmt: skip
    out = io.StringIO()
    writer = csv.DictWriter(out, list(fields))
    writer.writeheader()
    writer.writerow(fields)
    lines = iter([piece(line.encode()) for line in out.getvalue().splitlines()])
    from_csv = plain.integration(plain.csv_reader(lines)(next(lines)))
    assert from_csv == plain.integration(plain.read_json(piece(fields | {"scopes": ["a", "b"]})))
    assert (from_csv.access_token, from_csv.refresh_token) == (Secret(access), Secret(refresh))
    assert (from_csv.expires_at, from_csv.status, from_csv.scopes) == (moment, "expired", ("a", "b"))


def test_moments_are_dates_or_seconds() -> None:
    for said, meant in (
        ("2030-01-31T18:00:00Z", datetime(2030, 1, 31, 18, tzinfo=UTC)),
        ("2030-01-31T18:00:00+02:00", datetime(2030, 1, 31, 16, tzinfo=UTC)),
        ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
        (1_900_000_000, datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)),
        ("1900000000", datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)),
    ):
        fields = {"tenant_id": "t", "provider": "gdrive", "expires_at": said}
        assert plain.integration(fields).expires_at == meant


@pytest.mark.parametrize(("field", "value", "words"), [
    ("tenant_id", "", "tenant_id is missing"),
    ("tenant_id", 7, "tenant_id is not a text"),
    ("tenant_id", "t" * 201, "tenant_id is longer than 200"),
    ("tenant_id", "a\x1b[2J", "control characters"),
    ("provider", None, "provider is missing"),
    ("access_token", SECRET * 2000, "access_token is longer than 32,768"),
    ("access_token", SECRET + "é", "no token has"),
    ("refresh_token", {"a": SECRET}, "refresh_token is not a text"),
    ("expires_at", "soon", "expires_at is no moment"),
    ("expires_at", 1_900_000_000_000, "expires_at is no moment"),  # milliseconds
    ("expires_at", 10**18, "expires_at is no moment"),
    ("expires_at", -1, "expires_at is no moment"),
    ("expires_at", True, "expires_at is no moment"),
    ("expires_at", "0001-01-01T00:00:00+05:00", "expires_at is no moment"),
    ("scopes", [SECRET, 7], "scopes are no scopes"),
    ("scopes", ["s" * 9000], "scopes are longer"),
    ("status", SECRET, "status is none of active, expired, revoked, error"),
    ("id", "../" + SECRET, "id is not 1 to 128 characters"),
])  # fmt: skip
def test_a_field_that_cannot_be_is_named_and_not_shown(field: str, value: object, words: str) -> None:
    fields = {"tenant_id": "t", "provider": "gdrive", "access_token": SECRET} | {field: value}
    with pytest.raises(BadRecord) as refused:
        plain.integration(fields)
    assert words in str(refused.value)
    assert SECRET[:8] not in str(refused.value)


@pytest.mark.parametrize(("data", "words"), [
    (b"7", "no object"),
    (b'{"tenant_id": "ya29', "no JSON"),
    (b'{"tenant_id": "\xff"}', "not UTF-8"),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "without end"),
    (b'{"tenant_id": "t", "refreshtoken": "ya29.x"}', "its field 2 is none of ours: did you mean refresh_token?"),
    (b'{"ya29.x": 1}', "its field 1 is none of ours: there are tenant_id, "),
])  # fmt: skip
def test_what_is_no_record_is_refused_without_being_shown(data: bytes, words: str) -> None:
    with pytest.raises(BadRecord) as refused:
        plain.read_json(Piece("line 1", data, 100))
    assert words in str(refused.value)
    assert "ya29" not in str(refused.value)


@pytest.mark.parametrize(("line", "words"), [
    (b"t,gdrive,x,y\n", "4 columns instead of 3"),
    (b't,"gdrive,x\n', "close its quotes"),
    (b"t,gdrive," + b"x" * 140_000, "no line of CSV"),
])  # fmt: skip
def test_a_bad_line_of_csv_swallows_no_other(line: bytes, words: str) -> None:
    lines = iter([piece(b"Tenant_ID, provider,access_token\n"), piece(line), piece(b"t,gdrive,x\n")])
    read = plain.csv_reader(lines)
    with pytest.raises(BadRecord, match=words):
        read(next(lines))
    assert read(next(lines)) == {"tenant_id": "t", "provider": "gdrive", "access_token": "x"}


@pytest.mark.parametrize("header", [
    b"t-1,gdrive,ya29.x\n", b"tenant_id,acess_token\n", b"tenant_id,access_token\n", b"tenant_id,provider,provider\n",
    b'"ya29',
])  # fmt: skip
def test_a_header_that_is_none_is_an_error_that_shows_no_token(header: bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        plain.csv_reader(iter([piece(header)]))
    assert "ya29" not in str(refused.value)
    assert str(refused.value).endswith((".", "?"))


# MWAP


documents = st.dictionaries(
    st.sampled_from(
        [*plain.FIELDS, "_id", "tenantId", "providerId", "accessToken", "status", "tokenExpiresAt", "metadata"]
    ),
    values.map(relaxed) | values.map(canonical) | st.dictionaries(st.just("$date"), values.map(relaxed)),
)


@given(st.binary() | documents.map(lambda found: json.dumps(found).encode()))
def test_whatever_a_record_holds_it_comes_or_is_refused(data: bytes) -> None:
    one, header = Piece("line 1", data, len(data)), piece(b"tenant_id,provider,expires_at\n")
    for read in (
        lambda: plain.integration(plain.read_json(one)),
        lambda: plain.integration(plain.csv_reader(iter([header]))(one)),
        lambda: MWAP.integration(one, {OID: "gdrive"}),
        lambda: MWAP.tenant(one),
        lambda: MWAP.provider(one),
    ):
        with suppress(BadRecord):
            read()


def mwap_provider(**changed: object) -> Piece:
    return piece({
        "_id": {"$oid": OID}, "name": "Google Drive", "slug": "gdrive", "scopes": ["drive"], "clientId": "client",
        "authUrl": "https://accounts.google.com/o/oauth2/v2/auth", "tokenUrl": "https://oauth2.googleapis.com/token",
        "clientSecret": CIPHER.encrypt("client-secret"), "grantType": "authorization_code", "tokenMethod": "POST",
        "metadata": {"apiBaseUrl": "https://www.googleapis.com"}, "createdAt": {"$date": "2025-01-01T00:00:00Z"},
    } | changed)  # fmt: skip


def mwap_integration(**changed: object) -> Piece:
    return piece({
        "_id": OID, "tenantId": OID, "providerId": {"$oid": OID}, "status": "active", "createdBy": "auth0|1",
        "accessToken": CIPHER.encrypt("access"), "refreshToken": CIPHER.encrypt("refresh"),
        "tokenExpiresAt": {"$date": {"$numberLong": "1900000000000"}}, "scopesGranted": ["drive"],
        "connectedAt": {"$date": "2025-06-01T00:00:00.000Z"},
        "metadata": {"folder": "/x", "at": {"$date": "2025-01-01T00:00:00Z"}},
    } | changed)  # fmt: skip


def test_a_provider_of_mwap_has_our_facts_with_what_it_says_on_top() -> None:
    known_as, provider = MWAP.provider(mwap_provider())
    ours = load_facts()["gdrive"]
    assert known_as == OID
    assert (provider.client_id, provider.client_secret) == ("client", Secret("client-secret"))
    assert (provider.display_name, provider.scopes) == ("Google Drive", ("drive",))
    assert (provider.health_url, provider.auth_url) == (ours.health_url, ours.auth_url)  # with access_type=offline
    _, other = MWAP.provider(mwap_provider(slug="attic", displayName="The Attic", authUrl="https://attic.example/a"))
    assert (other.display_name, other.auth_url, other.health_url) == ("The Attic", "https://attic.example/a", None)


@pytest.mark.parametrize(("changed", "words"), [
    ({"slug": "No Slug"}, "slug must be"),
    ({"clientSecret": SECRET}, "clientSecret was altered"),
    ({"clientSecret": None}, "clientSecret is missing"),
    ({"clientId": ""}, "clientId is missing"),
    ({"slug": "attic", "tokenUrl": None}, "lacks a name, an authUrl or a tokenUrl"),
    ({"tokenUrl": "https://user:ya29.x@host/"}, "must be an https:// URL"),
    ({"tokenMethod": "GET"}, "register it by hand"),
])  # fmt: skip
def test_a_provider_of_mwap_that_cannot_be_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(BadRecord) as refused:
        MWAP.provider(mwap_provider(**changed))
    assert words in str(refused.value)
    assert "ya29" not in str(refused.value)


@pytest.mark.parametrize("as_id", [lambda oid: oid, lambda oid: {"$oid": oid}])
def test_an_integration_of_mwap_keeps_its_id_and_is_opened(as_id: Any) -> None:
    new = MWAP.integration(
        mwap_integration(providerId=as_id(OID), tenantId=as_id(OID), _id=as_id(OID)), {OID: "gdrive"}
    )
    assert (new.id, new.tenant_id, new.provider_slug) == (OID, OID, "gdrive")
    assert (new.access_token, new.refresh_token) == (Secret("access"), Secret("refresh"))
    assert new.expires_at == datetime.fromtimestamp(1_900_000_000, UTC)
    assert new.issued_at == new.connected_at == datetime(2025, 6, 1, tzinfo=UTC)
    assert (new.scopes, new.metadata) == (("drive",), {"folder": "/x", "at": "2025-01-01T00:00:00Z"})


def test_what_an_authorization_left_behind_is_left_behind() -> None:
    left = {"oauth_code": SECRET, "code_verifier": SECRET, "pkce_flow": True, "folder": "/x"}
    assert MWAP.integration(mwap_integration(metadata=left), {OID: "gdrive"}).metadata == {"folder": "/x"}


@pytest.mark.parametrize("none", [None, ""])
def test_an_integration_of_mwap_may_have_no_tokens(none: str | None) -> None:
    new = MWAP.integration(mwap_integration(accessToken=none, refreshToken=none, status="pending"), {OID: "gdrive"})
    assert (new.access_token, new.refresh_token, new.status) == (None, None, "active")


@pytest.mark.parametrize(("changed", "words"), [
    ({"providerId": "other"}, "not in the export of the providers"),
    ({"refreshToken": SECRET}, "refreshToken was altered, or is under another key"),
    ({"accessToken": MwapCipher("another key").encrypt(SECRET)}, "accessToken was altered, or is under another key"),
    ({"accessToken": CIPHER.encrypt(SECRET + "\n")}, "control characters"),
    ({"accessToken": CIPHER.encrypt("x" * 40_000)}, "accessToken is longer than 32,768"),
    ({"accessToken": "x" * 70_000}, "accessToken is longer than 65,536"),
    ({"tokenExpiresAt": {"$date": "x"}}, "$date"),
    ({"status": "asleep"}, "status is none of"),
    ({"metadata": [SECRET]}, "metadata is no object"),
    ({"metadata": {"a": "x" * 20_000}}, "metadata is larger"),
    ({"tenantId": None}, "tenantId is missing"),
    ({"_id": {"a": 1}}, "_id is not a text"),
])  # fmt: skip
def test_an_integration_of_mwap_that_cannot_be_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(BadRecord) as refused:
        MWAP.integration(mwap_integration(**changed), {OID: "gdrive"})
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)


def test_what_was_seen_is_found_again_and_parts_do_not_run_together() -> None:
    with Seen() as seen:
        seen.note("line 1", "pair", "a", "bc")
        seen.note("line 2", "pair", "a", "bc")
        assert seen.first("pair", "a", "bc") == "line 1"
        assert seen.first("pair", "ab", "c") is None
