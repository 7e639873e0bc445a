"""What a refresh can come to, apart from the provider's own errors in `oauth`, and who plans the next one.

LamplighterError
├── NotNow       `retry_in` says when to ask again; nothing was asked, and no attempt is spent
│   ├── Busy     another refresh of this integration is under way
│   └── Wait     the provider is asked no more often than it bears, or is down
└── Gone         there is nothing to refresh: ask no more until the integration is connected again
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct
from sqlalchemy import Connection

from lamplighter.core.errors import LamplighterError


class NotNow(LamplighterError):
    """Ask again after `retry_in`."""

    def __init__(self, text: str, retry_in: timedelta) -> None:
        super().__init__(text)
        self.retry_in = retry_in


class Busy(NotNow):
    """Another holder has the integration's lock."""


class Wait(NotNow):
    """The provider's gate does not let this request through now."""


class Gone(LamplighterError):
    """The integration does not exist, is revoked or pending, or has no refresh token."""


class Refreshed(Struct, frozen=True, kw_only=True):
    """The integration has usable tokens.

    Outcomes: `refreshed` now; `fresh`, not due yet; `adopted`, someone else stored newer tokens meanwhile.
    """

    integration_id: str
    outcome: Literal["refreshed", "fresh", "adopted"]
    refresh_at: datetime | None


class Planner(Protocol):
    """Plans the refresh that follows a refresh."""

    def within(self, connection: Connection, plans: Sequence[tuple[str, datetime]]) -> None:
        """Plan those of integrations in the transaction that stores their tokens. It may run twice, if the first one is
        rolled back.

        Raises:
            TransactionUnsupported: jobs are kept elsewhere; `after` is called once the tokens are stored.
        """

    async def after(self, integration_id: str, at: datetime) -> None:
        """Plan it when the tokens are already stored."""
