"""Who calls, what each role may do, and what each route asks for: the whole of it, as data.

superadmin  everything
operator    looks at everything and looks after it; connects nothing, and makes no keys
viewer      looks at everything but what files of tenants say
tenant      looks at what is its own and looks after it; nothing else is there for it
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar

from msgspec import Struct

F = TypeVar("F", bound=Callable[..., object])


class Role(StrEnum):
    """What somebody is to this service."""

    SUPERADMIN = "superadmin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    TENANT = "tenant"


class Right(StrEnum):
    """What a route asks for.

    READ: look. READ_CONTENTS: see what tenants' files say, not only that they are there. TEND: have something done
    again, now or not at all (retry, cancel, refresh, check), or enqueue it. OWN: decide what is connected. OPERATE:
    change how everybody's work goes on (queues, schedules, workers, limits). ADMINISTER: decide who may do what.
    """

    READ = "read"
    READ_CONTENTS = "read-contents"
    TEND = "tend"
    OWN = "own"
    OPERATE = "operate"
    ADMINISTER = "administer"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.SUPERADMIN: frozenset(Right),
    Role.OPERATOR: frozenset({Right.READ, Right.READ_CONTENTS, Right.TEND, Right.OPERATE}),
    Role.VIEWER: frozenset({Right.READ}),
    Role.TENANT: frozenset({Right.READ, Right.READ_CONTENTS, Right.TEND, Right.OWN}),
}


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls. `tenants`: whose the caller is, for the role of a tenant, which may do nothing outside of them.

    `may_read_tokens`: it may have access tokens, of the tenants that it may act for. That is for services; no owner's
    browser needs it, and a superadmin does not have it by being one.
    """

    user_id: str
    role: Role = Role.TENANT
    tenants: frozenset[str] = frozenset()
    may_read_tokens: bool = False

    def has(self, right: Right) -> bool:
        """Whether its role has that right, somewhere at least."""
        return right in RIGHTS[self.role]

    def sees(self, tenant: str | None) -> bool:
        """Whether what belongs to that tenant, or (None) to none, is there for it."""
        return self.role is not Role.TENANT or tenant in self.tenants


class Needs(NamedTuple):
    """What a route asks for.

    `sorts`: it looks itself at whose things it shows, so tenants may call it too. `notes`: what the audit log calls it,
    such as `queue.pause`. `only_of_staff`: what tenants do there with what is their own is not noted.
    """

    right: Right
    sorts: bool = False
    notes: str | None = None
    only_of_staff: bool = False

    def noted(self, caller: Caller) -> str | None:
        """What the audit log calls it when that caller does it; None: nothing, it is not noted."""
        return None if self.only_of_staff and caller.role is Role.TENANT else self.notes


def needs(
    right: Right, *, sorts: bool = False, notes: str | None = None, only_of_staff: bool = False
) -> Callable[[F], F]:
    """Says what a route asks for; one that does not say so lets nobody in.

    What it `notes` is in the audit log, with how it ended, before it is answered; about what, its path says.

    A route with a `tenant_id` or `job_id` in its path is for the tenant of that. Others show everybody's things, and
    are not for tenants, unless they sort them.
    """

    def mark(endpoint: F) -> F:
        endpoint.__dict__["needs"] = Needs(right, sorts, notes, only_of_staff)
        return endpoint

    return mark


def needs_of(endpoint: object) -> Needs | None:
    """What the route with that endpoint asks for, if it says so."""
    found: Needs | None = getattr(endpoint, "needs", None)
    return found
