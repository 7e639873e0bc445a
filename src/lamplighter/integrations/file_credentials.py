"""What a source of files is opened with, where that is no integration: sealed by the vault, for its row only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lamplighter.integrations.vault import Vault


def place(source_id: str) -> str:
    """Where the vault says that they are."""
    return f"file-source/{source_id}/credentials"


def seal(vault: Vault, source_id: str, credentials: Mapping[str, str]) -> str | None:
    """As they are stored; None: there are none."""
    return vault.encrypt(msgspec.json.encode(credentials).decode(), place(source_id)) if credentials else None


def unseal(vault: Vault, source_id: str, stored: str | None) -> dict[str, str]:
    """What was sealed. Raises VaultError."""
    if stored is None:
        return {}
    return msgspec.json.decode(vault.decrypt(stored, place(source_id)), type=dict[str, str])
