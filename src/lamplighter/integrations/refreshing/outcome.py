"""What a refresh can come to, apart from the provider's own errors in `oauth`.

LamplighterError
├── NotNow       `retry_in` says when to ask again; nothing was asked, and no attempt is spent
│   ├── Busy     another refresh of this integration is under way
│   └── Wait     the provider is asked no more often than it bears
│       └── Shut the provider is down; when it is back, whoever plans refreshes is told
└── Gone         there is nothing to refresh: ask no more until the integration is connected again
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

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


class Shut(Wait):
    """The provider is left alone, because it is down or asked for that."""


class Gone(LamplighterError):
    """The integration does not exist, is revoked or pending, or has no refresh token."""


class Refreshed(Struct, frozen=True, kw_only=True):
    """The integration has usable tokens.

    Outcomes: `refreshed` now; `fresh`, not due yet; `adopted`, someone else stored newer tokens meanwhile.
    """

    integration_id: str
    outcome: Literal["refreshed", "fresh", "adopted"]
    refresh_at: datetime | None
