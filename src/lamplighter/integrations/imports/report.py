"""What an import came to."""

from __future__ import annotations

import msgspec
from msgspec import Struct

MOST_TOLD = 1000  # refusals told one by one


class Refusal(Struct, frozen=True):
    """A record that was left out. Neither field holds anything of the record."""

    file: str
    where: str
    reason: str


class Report(Struct, kw_only=True):
    """`added` and `known` count integrations; `known` were there, and stayed as they are."""

    dry_run: bool
    added: int = 0
    known: int = 0
    refused: int = 0
    tenants: int = 0  # added
    providers: list[str] = msgspec.field(default_factory=list)  # registered
    refusals: list[Refusal] = msgspec.field(default_factory=list)  # the first of them

    def refuse(self, refusal: Refusal) -> None:
        """Count it, and tell it if there is room."""
        self.refused += 1
        if len(self.refusals) < MOST_TOLD:
            self.refusals.append(refusal)
