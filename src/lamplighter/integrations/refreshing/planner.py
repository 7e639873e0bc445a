"""Who plans the refresh that follows a change of tokens, in the transaction that stores them where that can be."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn, Protocol

from sqlalchemy import Connection

from lamplighter.core.errors import StoreError, TransactionUnsupported

log = logging.getLogger(__name__)

Plan = tuple[str, datetime]  # an integration, and when to refresh it


class Planner(Protocol):
    """Plans refreshes."""

    def within(self, connection: Connection, plans: Sequence[Plan]) -> None:
        """Plan those in the transaction that stores their tokens. It may run twice, if the first one is rolled back.

        Raises:
            TransactionUnsupported: jobs are kept elsewhere; `after` is called once the tokens are stored.
        """

    async def after(self, integration_id: str, at: datetime) -> None:
        """Plan one when the tokens are already stored."""

    async def settle(self) -> None:
        """What was planned is committed: plans for the tokens before are corrected."""

    async def recovered(self, provider_slug: str) -> None:
        """The provider is back: what waited for it may go."""


class NoPlanner:
    """For a process without jobs: what it refreshes, the reconciler of a worker finds and plans."""

    def within(self, connection: Connection, plans: Sequence[Plan]) -> NoReturn:  # noqa: ARG002 - plans none
        """Plans nothing."""
        raise TransactionUnsupported("no jobs are planned here: a worker's reconciler plans them.")

    async def after(self, integration_id: str, at: datetime) -> None:
        """Plans nothing."""

    async def settle(self) -> None:
        """Planned nothing."""

    async def recovered(self, provider_slug: str) -> None:
        """Nothing waits here."""


def planned_within(planner: Planner, connection: Connection, plans: Sequence[Plan]) -> bool:
    """Whether the refreshes are planned in this transaction; otherwise `plan_after` is to do it."""
    try:
        planner.within(connection, plans)
    except TransactionUnsupported:
        return False
    return True


async def plan_after(planner: Planner, integration_id: str, at: datetime) -> None:
    """Plan it now that the tokens are stored."""
    try:
        await planner.after(integration_id, at)
    except StoreError as error:  # the row says when they are due: it will be found
        log.warning("The next refresh of integration %s is not planned yet: %s", integration_id, error)
