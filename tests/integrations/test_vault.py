"""The vault: what it hides, what it refuses, and MWAP's format checked against Node's own crypto."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.vault import (
    KeyRing,
    MwapCipher,
    UnknownKey,
    Unreadable,
    Vault,
    VaultError,
    check_keys,
    new_key,
)

PLACE = "integration/i-1/refresh_token"
MWAP_KEY = "ключ of MWAP, longer than thirty-two bytes"
NODE = shutil.which("node")

# MWAP's scheme, told to Node: argv holds the key, a stored value to decrypt and a text to encrypt.
NODE_SCRIPT = """
const crypto = require('node:crypto');
const [keyText, stored, text] = process.argv.slice(1);
const key = Buffer.alloc(32); Buffer.from(keyText, 'utf8').copy(key);
const [iv, tag, sealed] = stored.split(':').map((part) => Buffer.from(part, 'base64'));
const decipher = crypto.createDecipheriv('aes-256-gcm', key, iv).setAuthTag(tag);
const opened = Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8').slice(32);
const newIv = crypto.randomBytes(16);
const cipher = crypto.createCipheriv('aes-256-gcm', key, newIv);
const salted = crypto.randomBytes(16).toString('hex') + text;
const newSealed = Buffer.concat([cipher.update(salted, 'utf8'), cipher.final()]);
const parts = [newIv, cipher.getAuthTag(), newSealed].map((part) => part.toString('base64'));
console.log(JSON.stringify({ opened, stored: parts.join(':') }));
"""


def flipped(stored: str) -> str:
    """The stored value with one bit of its last byte changed."""
    head, _, encoded = stored.rpartition(":")
    data = bytearray(base64.b64decode(encoded))
    data[-1] ^= 1
    return f"{head}:{base64.b64encode(data).decode()}"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back_from_the_place_it_was_stored_in(text: str, place: str) -> None:
    vault = Vault.from_text(new_key())
    assert vault.decrypt(vault.encrypt(text, place), place) == text


def test_a_stored_value_names_its_key_and_hides_its_text() -> None:
    vault = Vault.from_text("2026:" + new_key().partition(":")[2])
    stored = vault.encrypt("refresh-me", PLACE)
    assert stored.startswith("ll1:2026:")
    assert b"refresh-me" not in base64.b64decode(stored.split(":")[2])
    assert stored != vault.encrypt("refresh-me", PLACE)


def test_a_value_moved_to_another_place_is_refused() -> None:
    vault = Vault.from_text(new_key())
    with pytest.raises(Unreadable, match="integration/i-2"):
        vault.decrypt(vault.encrypt("text", PLACE), "integration/i-2/refresh_token")


@pytest.mark.parametrize("spoil", [flipped, lambda stored: stored[:20], lambda stored: stored + "!", lambda _: "junk"])
def test_an_altered_value_is_refused(spoil: object) -> None:
    assert callable(spoil)
    vault = Vault.from_text(f"k1:{new_key().partition(':')[2]}")
    with pytest.raises(Unreadable):
        vault.decrypt(spoil(vault.encrypt("text", PLACE)), PLACE)


def test_a_rotated_key_still_decrypts_and_is_asked_to_be_replaced() -> None:
    old, new = new_key(), new_key()
    stored = Vault.from_text(old).encrypt("text", PLACE)
    vault = Vault.from_text(f"{new}, {old}")
    assert vault.decrypt(stored, PLACE) == "text"
    assert vault.needs_reencrypt(stored)
    assert not vault.needs_reencrypt(vault.encrypt("text", PLACE))


def test_a_value_under_a_key_that_is_gone_names_the_key() -> None:
    stored = Vault.from_text(f"gone:{new_key().partition(':')[2]}").encrypt("text", PLACE)
    with pytest.raises(UnknownKey, match="'gone'"):
        Vault.from_text(new_key()).decrypt(stored, PLACE)


KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    "text",
    ["", KEY, f":{KEY}", "id:", "id:c2hvcnQ=", f"id:{KEY[:-2]}", f"a b:{KEY}", f"id:{KEY},", f"id:{KEY},id:{KEY}"],
)
def test_a_malformed_key_ring_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        KeyRing.from_text(text)
    assert KEY[:8] not in str(caught.value)
    assert KEY not in repr(KeyRing.from_text(f"id:{KEY}"))


def test_mwap_values_are_read_and_are_to_be_reencrypted() -> None:
    mwap = MwapCipher(MWAP_KEY)
    vault = Vault(KeyRing.from_text(new_key()), mwap)
    stored = mwap.encrypt("grüße")
    assert vault.decrypt(stored, PLACE) == "grüße"
    assert vault.needs_reencrypt(stored)
    assert mwap.encrypt("") == mwap.decrypt("") == ""


@pytest.mark.parametrize("stored", ["a:b:c", "::", "junk"])
def test_what_mwap_cannot_have_written_is_refused(stored: str) -> None:
    with pytest.raises(Unreadable, match="mwap_encryption_key"):
        MwapCipher(MWAP_KEY).decrypt(stored)


def test_an_altered_mwap_value_or_one_under_another_key_is_refused() -> None:
    mwap = MwapCipher(MWAP_KEY)
    for stored in (flipped(mwap.encrypt("text")), MwapCipher("another key").encrypt("text")):
        with pytest.raises(Unreadable, match="mwap_encryption_key"):
            mwap.decrypt(stored)


def test_without_an_mwap_key_its_values_are_refused_with_advice() -> None:
    with pytest.raises(VaultError, match="mwap_encryption_key"):
        Vault.from_text(new_key()).decrypt(MwapCipher(MWAP_KEY).encrypt("text"), PLACE)


@pytest.mark.parametrize("key", ["", "a-very-secure-32-byte-encryption-key"])
def test_mwaps_default_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigError):
        MwapCipher(key)


@pytest.mark.skipif(NODE is None, reason="NO NODE HERE: MWAP's token format is NOT checked against Node's crypto")
@pytest.mark.parametrize("key", ["short", MWAP_KEY])
def test_node_and_the_mwap_cipher_read_each_other(key: str) -> None:
    assert NODE is not None
    mwap = MwapCipher(key)
    command = [NODE, "-e", NODE_SCRIPT, key, mwap.encrypt("from Python: ü"), "from Node: ü"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert said["opened"] == "from Python: ü"
    assert mwap.decrypt(said["stored"]) == "from Node: ü"


WEAK_KEYS = [bytes(32), b"ab" * 16, b"a-very-secure-32-byte-encryption-key"[:32]]


@pytest.mark.parametrize("key", [None, *WEAK_KEYS])
def test_production_refuses_a_missing_or_weak_key_and_says_how_to_make_one(key: bytes | None, tmp_path: Path) -> None:
    text = None if key is None else Secret(f"k:{base64.b64encode(key).decode()}")
    with pytest.raises(ConfigError, match="lamplighter integrations new-key"):
        check_keys("production", text, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_production_takes_a_new_key_with_a_weak_one_behind_it_to_rotate_away_from(tmp_path: Path) -> None:
    weak = base64.b64encode(bytes(32)).decode()
    keys = check_keys("production", Secret(f"{new_key()},dev:{weak}"), folder=tmp_path)
    assert Vault(keys).decrypt(Vault.from_text(f"dev:{weak}").encrypt("text", PLACE), PLACE) == "text"


def test_development_makes_one_private_key_file_and_keeps_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    with ThreadPoolExecutor(8) as pool:  # as many processes do that start together
        rings = list(pool.map(lambda _: check_keys("development", None, folder=folder), range(8)))
    stored = Vault(rings[0]).encrypt("text", PLACE)
    assert {Vault(ring).decrypt(stored, PLACE) for ring in rings} == {"text"}
    assert [path.name for path in folder.iterdir()] == ["lamplighter.key"]
    assert (folder / "lamplighter.key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_not_kept_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot keep a key in .*mistyped"):
        check_keys("development", None, folder=tmp_path / "mistyped")
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_cannot_be_kept_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="encryption_keys"):
        check_keys("development", None, folder=tmp_path / "file")


def test_new_keys_differ() -> None:
    assert new_key() != new_key()
