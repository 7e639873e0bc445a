"""What can be said of an integration's health."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

Health = Literal["healthy", "expired", "unauthorized", "error"]
"""`healthy`: the provider's API took the token. `expired`: the token's time is over. `unauthorized`: the API refuses
it. `error`: nothing was found out, for the provider is down, or our own set-up is wrong."""


class HealthView(Struct, frozen=True, kw_only=True):
    """An integration's health as it is now. No `health`: nothing is known yet. `latency_ms`: of the last check."""

    integration_id: str
    health: Health | None
    since: datetime | None
    last_checked: datetime | None
    message: str | None
    latency_ms: int | None
    due_at: datetime | None
