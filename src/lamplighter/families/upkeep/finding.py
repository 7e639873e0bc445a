"""What is found of a database, and whether it is to be done: the same whether somebody only looks, or does it then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from lamplighter.core.errors import LamplighterError

TaskName: TypeAlias = Literal[
    "transactions", "vacuum", "analyze", "compact", "reindex", "check", "optimize", "shrink", "checkpoint", "backup"
]

TASKS: Mapping[TaskName, str] = {
    "transactions": "Tells of transactions that are open for long: they keep dead rows from being removed.",
    "vacuum": "Removes dead rows, so that their room is used again.",
    "analyze": "Looks at samples of a table anew, for what plans queries.",
    "compact": "Moves rows from a table's last pages into the room in its first ones, and gives the end back.",
    "reindex": "Builds an index anew beside the old one, and takes its place.",
    "check": "Reads a file whole, and sees that nothing in it is damaged.",
    "optimize": "Looks at samples of a table anew, for what plans queries.",
    "shrink": "Gives free pages of a file back to the disk.",
    "checkpoint": "Brings what is in the log of a file into the file, and empties the log.",
    "backup": "Copies a file while it is in use, and restores the copy to see that it is good.",
}
"""What each does. They are done in this order."""


class Key(NamedTuple):
    """What a finding is of: the same today and tomorrow."""

    task: str
    database: str
    subject: str


class Finding(Struct, frozen=True, kw_only=True):
    """What a task found of one table, index or file.

    Attributes:
        database: where that is, without secrets.
        is_due: it is past its bounds, so that a run does it.
        is_held: it is past its bounds, but something has to be seen to first.
        says: what was found, and what is done about it, or why nothing is.
        size: bytes that it takes now.
        wasted: bytes that it could do without, as far as that is known.
        figures: what that goes by.
    """

    task: TaskName
    database: str
    subject: str
    is_due: bool
    says: str
    is_held: bool = False
    size: int | None = None
    wasted: int | None = None
    figures: Mapping[str, int | float | str] = {}

    @property
    def key(self) -> Key:
        return Key(self.task, self.database, self.subject)

    @property
    def is_notable(self) -> bool:
        """Whether people want to know of it: what is merely within bounds they do not."""
        return self.is_due or self.is_held or self.task in {"transactions", "backup"}


class Size(NamedTuple):
    """How much room something took at a moment. `kind`: table, index, file, log (of a file), or free (in a file)."""

    database: str
    name: str
    kind: str
    bytes: int


class Trouble(NamedTuple):
    """A database that could not be looked at, and why."""

    database: str
    says: str


class UpkeepError(LamplighterError):
    """Something could not be kept up; the message says what, and what to do."""


class GaveWay(UpkeepError):
    """Somebody waited for what was being done, so it was ended. It is tried again."""
