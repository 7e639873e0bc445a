"""An integration's row while it is refreshed. Every write states the lock or the token version that it expects.

The lock keeps two refreshes from spending one token. What a provider has answered is fenced by the token version
alone: a holder that was so slow that it lost its lock still has the only successor of the token it spent.
A write that changes the status also writes down what follows from that: see `transition`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, func, null, or_, select, update

from lamplighter.core.clock import from_us, maybe_from_us, to_us
from lamplighter.integrations.tables import integrations, outages, providers
from lamplighter.integrations.transition import Transition, record

REFRESHABLE = ("active", "expired", "error")
LONGEST_REASON = 500  # characters
LATER = timedelta(hours=1)  # when to look again at what could not be refreshed

_row = integrations.c


class Seen(NamedTuple):
    """What decides whether to refresh."""

    provider_slug: str
    provider_version: int
    status: str
    refresh_at: int | None
    has_refresh_token: bool
    token_version: int
    lock_owner: str | None
    lock_until: int | None
    shut_until: int | None  # its provider, which is down


class Held(NamedTuple):
    """A locked row. `refresh_token` as stored."""

    id: str
    owner: str
    status: str
    refresh_at: int | None
    refresh_token: str
    token_version: int


class Seized(NamedTuple):
    """A row that is locked to be disconnected. Tokens as stored."""

    id: str
    owner: str
    provider_slug: str
    access_token: str | None
    refresh_token: str | None
    token_version: int


class Sealed(NamedTuple):
    """Tokens as they are stored; what is None stays as it was."""

    access_token: str | None
    refresh_token: str | None
    issued_at: int
    expires_at: int | None
    refresh_at: int | None
    scopes: str | None


_free = {
    "lock_owner": case((_row.lock_owner == bindparam("owner"), null()), else_=_row.lock_owner),
    "lock_until": case((_row.lock_owner == bindparam("owner"), null()), else_=_row.lock_until),
}
_it = _row.id == bindparam("row")
_same_tokens = and_(_it, _row.token_version == bindparam("version"))
_move = {
    "status": bindparam("to"),
    "status_changed_at": case((_row.status == bindparam("to"), _row.status_changed_at), else_=bindparam("now")),
    "transitions": case((_row.status == bindparam("to"), _row.transitions), else_=_row.transitions + 1),
}
_moved = (_row.tenant_id, _row.provider_slug, _row.transitions, _row.status_changed_at)

_peek = (
    select(
        _row.provider_slug,
        providers.c.version,
        _row.status,
        _row.refresh_at,
        _row.refresh_token.is_not(None),
        _row.token_version,
        _row.lock_owner,
        _row.lock_until,
        outages.c.until,
    )
    .join(providers, providers.c.slug == _row.provider_slug)
    .outerjoin(outages, outages.c.provider_slug == _row.provider_slug)
    .where(_it)
)
_acquire = (
    update(integrations)
    .where(
        _it,
        _row.status.in_(REFRESHABLE),
        _row.refresh_token.is_not(None),
        or_(
            _row.lock_owner.is_(None),
            and_(_row.lock_owner == bindparam("expected"), _row.lock_until <= bindparam("now")),
        ),
    )
    .values(lock_owner=bindparam("owner"), lock_until=bindparam("until"))
    .returning(_row.status, _row.refresh_at, _row.refresh_token, _row.token_version)
)
_seize = (
    update(integrations)
    .where(_it, or_(_row.lock_owner.is_(None), _row.lock_until <= bindparam("now")))
    .values(lock_owner=bindparam("owner"), lock_until=bindparam("until"))
    .returning(_row.provider_slug, _row.access_token, _row.refresh_token, _row.token_version)
)
_release = update(integrations).where(_it).values(_free)
_store_tokens = (
    update(integrations)
    .where(_same_tokens)
    .values(
        _free
        | _move
        | {
            "access_token": bindparam("access"),
            "refresh_token": func.coalesce(bindparam("refresh"), _row.refresh_token),
            "issued_at": bindparam("issued"),
            "expires_at": bindparam("expires"),
            "refresh_at": bindparam("next"),
            "scopes": func.coalesce(bindparam("granted"), _row.scopes),
            "status_reason": null(),
            "last_refreshed_at": bindparam("now"),
            "last_outcome": "refreshed",
            "outages": 0,
            "token_version": _row.token_version + 1,
            "updated_at": bindparam("now"),
        }
    )
    .returning(*_moved)
)
_store_refresh_token = (
    update(integrations)
    .where(_same_tokens)
    .values(
        _free
        | {
            "refresh_token": bindparam("refresh"),
            "last_outcome": "no_access_token",
            "token_version": _row.token_version + 1,
            "updated_at": bindparam("now"),
        }
    )
)
_fail: dict[str, Any] = {"last_outcome": bindparam("outcome"), "updated_at": bindparam("now")}
_worsen = _fail | _move | {"status_reason": bindparam("reason"), "refresh_at": bindparam("next")}
_end = update(integrations).where(_same_tokens).values(_free | _worsen).returning(*_moved)
_outage = update(integrations).where(_it).values(_free | _fail | {"outages": _row.outages + 1}).returning(_row.outages)
_note = update(integrations).where(_it).values(_free | _fail)
_give_up = update(integrations).where(_it, _row.status.in_(REFRESHABLE)).values(_worsen).returning(*_moved)
_disconnect = (
    update(integrations)
    .where(_same_tokens)
    .values(
        _free
        | _worsen
        | {
            "access_token": null(),
            "refresh_token": null(),
            "issued_at": null(),
            "expires_at": null(),
            "token_version": _row.token_version + 1,
        }
    )
    .returning(*_moved)
)


def peek(connection: Connection, integration_id: str) -> Seen | None:
    """What decides whether to refresh, without a write; None if there is no such integration."""
    row = connection.execute(_peek, {"row": integration_id}).first()
    return None if row is None else Seen(*row)


def acquire(
    connection: Connection, integration_id: str, *, owner: str, expected: str | None, now: datetime, until: datetime
) -> Held | None:
    """Lock the row and read it under the lock, which also proves that it can be written; None if it is not to be had.

    Only a free lock is taken, or the expired one of `expected`, whose journal was looked through before.
    """
    parameters = {
        "row": integration_id,
        "owner": owner,
        "expected": expected,
        "now": to_us(now),
        "until": to_us(until),
    }
    row = connection.execute(_acquire, parameters).first()
    return None if row is None else Held(integration_id, owner, *row)


def seize(connection: Connection, integration_id: str, *, owner: str, now: datetime, until: datetime) -> Seized | None:
    """Lock the row to disconnect it, whatever its status; None while a refresh is under way."""
    parameters = {"row": integration_id, "owner": owner, "now": to_us(now), "until": to_us(until)}
    row = connection.execute(_seize, parameters).first()
    return None if row is None else Seized(integration_id, owner, *row)


def release(connection: Connection, held: Held | Seized) -> None:
    """Give the lock back."""
    connection.execute(_release, {"row": held.id, "owner": held.owner})


def store(
    connection: Connection, integration_id: str, tokens: Sealed, *, version: int, owner: str, now: datetime
) -> bool:
    """Store what a provider answered to the token of `version`, and give the lock back. False: newer ones are there."""
    fence = {"row": integration_id, "version": version, "owner": owner, "now": to_us(now)}
    if tokens.access_token is None:
        rotated = connection.execute(_store_refresh_token, fence | {"refresh": tokens.refresh_token})
        return rotated.rowcount == 1
    values = {
        "access": tokens.access_token,
        "refresh": tokens.refresh_token,
        "issued": tokens.issued_at,
        "expires": tokens.expires_at,
        "next": tokens.refresh_at,
        "granted": tokens.scopes,
        "to": "active",
    }
    return _written(connection, _store_tokens, fence | values)


def revoke(connection: Connection, held: Held, reason: str, now: datetime) -> bool:
    """The provider refused this token for good. False: newer ones are there, and stay as they are."""
    values = {"to": "revoked", "reason": reason[:LONGEST_REASON], "next": None, "outcome": "revoked"}
    return _written(connection, _end, _fence(held, now) | values)


def blame(connection: Connection, held: Held, reason: str, outcome: str, now: datetime) -> bool:
    """Our own set-up is at fault: status error, looked at again later. False: newer tokens are there."""
    values = {"to": "error", "reason": reason[:LONGEST_REASON], "next": to_us(now + LATER), "outcome": outcome}
    return _written(connection, _end, _fence(held, now) | values)


def disconnect(connection: Connection, held: Seized, now: datetime) -> bool:
    """Delete its tokens. False: newer ones are there, and stay as they are."""
    values = {"to": "pending", "reason": "disconnected", "next": None, "outcome": "disconnected"}
    return _written(connection, _disconnect, _fence(held, now) | values)


def suffer_outage(connection: Connection, held: Held, now: datetime) -> int:
    """The provider is down: returns how often in a row. The status stays, for no tenant has lost anything."""
    parameters = {"row": held.id, "owner": held.owner, "now": to_us(now), "outcome": "down"}
    return connection.execute(_outage, parameters).scalar() or 1


def note(connection: Connection, held: Held, outcome: str, now: datetime) -> None:
    """Remember how it ended, and give the lock back."""
    connection.execute(_note, {"row": held.id, "owner": held.owner, "now": to_us(now), "outcome": outcome})


def give_up(connection: Connection, integration_id: str, reason: str, now: datetime) -> bool:
    """Mark it expired after the last attempt, to be looked at again later. True if that is news.

    One whose set-up is at fault stays in error: that says better what to do.
    """
    status = connection.execute(select(_row.status).where(_it), {"row": integration_id}).scalar()
    values: dict[str, Any] = {
        "row": integration_id,
        "now": to_us(now),
        "to": "error" if status == "error" else "expired",
        "reason": reason[:LONGEST_REASON],
        "next": to_us(now + LATER),
        "outcome": "gave_up",
    }
    return _written(connection, _give_up, values) and status == "active"


def planned_at(connection: Connection, integration_id: str) -> datetime | None:
    """When the next refresh is planned."""
    return maybe_from_us(connection.execute(select(_row.refresh_at).where(_it), {"row": integration_id}).scalar())


def token_version(connection: Connection, integration_id: str) -> int | None:
    """Which of its tokens are stored; None if there is no such integration."""
    return connection.execute(select(_row.token_version).where(_it), {"row": integration_id}).scalar()


def left_of(until: int | None, now: datetime) -> timedelta:
    """How much longer a lock holds."""
    return max(from_us(until) - now, timedelta()) if until is not None else timedelta()


def _fence(held: Held | Seized, now: datetime) -> dict[str, Any]:
    return {"row": held.id, "owner": held.owner, "version": held.token_version, "now": to_us(now)}


def _written(connection: Connection, statement: Any, parameters: dict[str, Any]) -> bool:
    """Whether the row was as expected."""
    moved = connection.execute(statement, parameters).first()
    if moved is None:
        return False
    if moved.status_changed_at == parameters["now"]:
        change = Transition(
            parameters["row"],
            moved.transitions,
            moved.tenant_id,
            moved.provider_slug,
            parameters["to"],
            parameters.get("reason"),
            from_us(parameters["now"]),
        )
        record(connection, change)
    return True
