"""Tokens at rest: AES-256-GCM under keys that can be rotated, each value bound to the place it was stored in.

A stored value reads `ll1:<key id>:<base64 of nonce + ciphertext + tag>`. Its place is authenticated, not stored, so
that whoever can write to the database still cannot move one tenant's token into another tenant's row.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.core.secret import Secret

Mode = Literal["production", "development"]

KEYS_SETTING = "encryption_keys"
KEY_FILE = "lamplighter.key"
KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
HOW_TO = f"run `lamplighter integrations new-key` and put what it prints into {KEYS_SETTING}"

MWAP_DEFAULT_KEY = "a-very-secure-32-byte-encryption-key"  # published in MWAP's source: as good as no key
MWAP_IV_BYTES = 16
MWAP_TAG_BYTES = 16
MWAP_SALT_CHARS = 32


class VaultError(LamplighterError):
    """A stored value cannot be decrypted."""


class UnknownKey(VaultError):
    """The value was encrypted under a key that is not in the key ring."""


class Unreadable(VaultError):
    """The value was altered, belongs to another place, or is no stored value at all."""


class KeyRing:
    """Named 32-byte keys: the first encrypts, all decrypt. Raises ConfigError for a key that cannot be one."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ConfigError(f"there is no vault key: {HOW_TO}.")
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise ConfigError(f"a vault key must be {KEY_BYTES} bytes long: {HOW_TO}.")
        self.first = next(iter(keys))
        self.first_is_weak = _is_weak(keys[self.first])
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `id:base64,id:base64`. Its errors count positions, for a misplaced key must not be shown as an id."""
        keys: dict[str, bytes] = {}
        for position, item in enumerate(text.strip().split(","), start=1):
            key_id, _, encoded = item.strip().partition(":")
            key = _decode(encoded)
            if not KEY_ID.fullmatch(key_id) or key is None or len(key) != KEY_BYTES:
                raise ConfigError(
                    f"vault key {position} in {KEYS_SETTING} is not `id:base64 of {KEY_BYTES} bytes`: {HOW_TO}."
                )
            if key_id in keys:
                raise ConfigError(f"vault key {position} in {KEYS_SETTING} has the id of an earlier one: rename it.")
            keys[key_id] = key
        return cls(keys)

    def cipher(self, key_id: str) -> AESGCM:
        """The cipher of one key. Raises UnknownKey."""
        try:
            return self._ciphers[key_id]
        except KeyError:
            shown = f"{key_id!r} " if KEY_ID.fullmatch(key_id) else ""
            raise UnknownKey(
                f"a stored value needs the vault key {shown}which is not in the ring: add it to {KEYS_SETTING}."
            ) from None


class MwapCipher:
    """The format of MWAP's own database: `b64(iv):b64(tag):b64(ciphertext of 32 salt characters + text)`, '' for ''.

    It binds a value to no place, so it is for reading what MWAP wrote and writing what MWAP must read.
    Raises ConfigError for an empty key and for the default in MWAP's source.
    """

    def __init__(self, key_text: str) -> None:
        if key_text in {"", MWAP_DEFAULT_KEY}:
            raise ConfigError("mwap_encryption_key is empty or MWAP's published default: set a secret on both sides.")
        self._cipher = AESGCM(key_text.encode()[:KEY_BYTES].ljust(KEY_BYTES, b"\0"))

    def encrypt(self, text: str) -> str:
        """`text` as MWAP would store it."""
        if not text:
            return ""
        iv = os.urandom(MWAP_IV_BYTES)
        salted = secrets.token_hex(MWAP_SALT_CHARS // 2) + text
        sealed = self._cipher.encrypt(iv, salted.encode(), None)
        return ":".join(_encode(part) for part in (iv, sealed[-MWAP_TAG_BYTES:], sealed[:-MWAP_TAG_BYTES]))

    def decrypt(self, stored: str) -> str:
        """The text that MWAP stored. Raises Unreadable."""
        if not stored:
            return ""
        parts = [_decode(part) for part in stored.split(":")]
        match parts:
            case [bytes(iv), bytes(tag), bytes(ciphertext)] if len(iv) == MWAP_IV_BYTES and len(tag) == MWAP_TAG_BYTES:
                with suppress(InvalidTag, UnicodeDecodeError):
                    return self._cipher.decrypt(iv, ciphertext + tag, None).decode()[MWAP_SALT_CHARS:]
        raise Unreadable("a value in MWAP's format was altered or has another key: check mwap_encryption_key.")


class Vault:
    """Encrypts texts for the database. With an `MwapCipher` it also decrypts what MWAP wrote."""

    def __init__(self, keys: KeyRing, mwap: MwapCipher | None = None) -> None:
        self._keys = keys
        self._mwap = mwap
        self._prefix = f"ll1:{keys.first}:"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """A vault with the keys of `id:base64,id:base64`. Raises ConfigError."""
        return cls(KeyRing.from_text(text))

    def encrypt(self, text: str, place: str) -> str:
        """Encrypt `text` under the first key, for `place` only, such as `integration/<id>/refresh_token`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys.cipher(self._keys.first).encrypt(nonce, text.encode(), place.encode())
        return self._prefix + _encode(nonce + sealed)

    def decrypt(self, stored: str, place: str) -> str:
        """The text that was encrypted for `place`. Raises UnknownKey or Unreadable."""
        if self._mwap and not stored.startswith("ll1:"):
            return self._mwap.decrypt(stored)
        match stored.split(":"):
            case ["ll1", key_id, encoded]:
                return _unseal(self._keys.cipher(key_id), encoded, place)
        raise Unreadable(f"what is stored at {place} is not a vault value: set mwap_encryption_key if MWAP wrote it.")

    def needs_reencrypt(self, stored: str) -> bool:
        """True for everything that is not under the first key, what MWAP wrote included."""
        return not stored.startswith(self._prefix)


def new_key() -> str:
    """A fresh random key with a fresh id, ready to be put first into the setting."""
    return f"k{secrets.token_hex(4)}:{_encode(secrets.token_bytes(KEY_BYTES))}"


def check_keys(mode: Mode, text: Secret | None, *, folder: Path) -> KeyRing:
    """The key ring to work with.

    In production the first key must be given and strong; a weak one further back may still decrypt, for refusing it
    would make it impossible to rotate away from. In development a missing key is made once and kept in
    `folder`/lamplighter.key: a constant would end up in production. Raises ConfigError.
    """
    if text is not None:
        keys = KeyRing.from_text(text.reveal())
    elif mode == "development":
        keys = KeyRing.from_text(_kept_key(folder))
    else:
        raise ConfigError(f"production mode needs a vault key: {HOW_TO}.")
    if mode == "production" and keys.first_is_weak:
        raise ConfigError(f"the first vault key can be guessed, so production mode refuses it: {HOW_TO}.")
    return keys


def _kept_key(folder: Path) -> str:
    path = folder / KEY_FILE
    try:
        if not path.exists():
            _publish(path, new_key())
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot keep a key in {path} ({error}): make it readable or set {KEYS_SETTING}.") from error


def _publish(path: Path, text: str) -> None:
    """Create `path` complete or not at all: processes that start together must never read half a key, or two keys."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
    finally:
        Path(draft).unlink()


def _unseal(cipher: AESGCM, encoded: str, place: str) -> str:
    sealed = _decode(encoded) or b""
    with suppress(InvalidTag, UnicodeDecodeError, ValueError):
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode()).decode()
    raise Unreadable(f"the value stored at {place} was altered or belongs elsewhere: restore it or connect again.")


def _is_weak(key: bytes) -> bool:
    """Repetitive, or typed by a person: a random key is either less than once in 10^13."""
    return len(set(key)) < KEY_BYTES // 2 or all(0x20 <= byte < 0x7F for byte in key)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
