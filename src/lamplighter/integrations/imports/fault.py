"""Why a record is refused."""

from __future__ import annotations

from lamplighter.core.errors import LamplighterError


class BadRecord(LamplighterError):
    """One record cannot be imported. Its text quotes nothing of the file: a column too far left would be a token."""
