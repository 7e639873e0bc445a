"""What is on everybody's drive: a few files, the same at each visit."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import msgspec

FOLDERS = {"Letters": "application/pdf", "Photos": "image/jpeg", "Ledgers": "text/csv"}

Read = Callable[[str], msgspec.Struct]


class About(msgspec.Struct, frozen=True, rename="camel"):
    """Whose drive it is: the call that tells whether a token works."""

    user: str
    file_count: int


class File(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file; `size` in bytes."""

    file_id: str
    name: str
    mime_type: str
    path: str
    size: int


class Files(msgspec.Struct, frozen=True):
    """All files of a drive."""

    files: list[File]


def about(user: str) -> About:
    """Whose drive it is."""
    return About(user, len(files(user).files))


def files(user: str) -> Files:
    """Every file on the user's drive."""
    return Files([_file(user, folder, number) for folder in FOLDERS for number in range(1, 5)])


def _file(user: str, folder: str, number: int) -> File:
    name = f"{folder.lower()}-{number}"
    return File(
        file_id=f"{user}-{name}",
        name=name,
        mime_type=FOLDERS[folder],
        path=f"/{folder}/{name}",
        size=1 + zlib.crc32(f"{user}/{name}".encode()) % 1_000_000,
    )
