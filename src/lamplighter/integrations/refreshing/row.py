"""An integration's row while it is refreshed. Every write states the lock or the token version that it expects.

The lock keeps two refreshes from spending one token. What a provider has answered is fenced by the token version
alone: a holder that was so slow that it lost its lock still has the only successor of the token it spent.
A write that changes the status also writes down what follows from that: see `transition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Text, and_, bindparam, case, func, null, or_, select, update

from lamplighter.core.clock import from_us, maybe_from_us, to_us
from lamplighter.integrations.measuring.measure import put, put_of_integration
from lamplighter.integrations.measuring.told import of_refresh
from lamplighter.integrations.storage.many import Read, Write, dicts
from lamplighter.integrations.storage.tables import integrations, outages, providers
from lamplighter.integrations.transition import Transition, record

FAILED = "refreshes.failed"
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


class Asked(NamedTuple):
    """A lock to be taken: a free one, or the expired one of `expected`, whose journal was looked through before."""

    id: str
    owner: str
    expected: str | None
    now: int
    until: int


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


class Answer(NamedTuple):
    """What a provider answered to the token of `version`, asked under the lock of `owner`."""

    id: str
    version: int
    owner: str
    tokens: Sealed


class _Awaiting(NamedTuple):
    """A row that an answer is for, as it is before."""

    id: str
    version: int
    status: str
    transitions: int
    tenant_id: str
    provider_slug: str


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

_peek = Read(
    {"id": Text()},
    lambda given: (
        select(
            _row.id,
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
        .join(given, given.c.id == _row.id)
        .join(providers, providers.c.slug == _row.provider_slug)
        .outerjoin(outages, outages.c.provider_slug == _row.provider_slug)
    ),
)
_acquire = Write(
    {"id": Text(), "owner": Text(), "expected": Text(), "now": BigInteger(), "until": BigInteger()},
    lambda given: (
        update(integrations)
        .where(
            _row.id == given.c.id,
            func.coalesce(_row.status, "").in_(REFRESHABLE),  # or its index would be used, rather than that of the id
            _row.refresh_token.is_not(None),
            or_(
                _row.lock_owner.is_(None),
                and_(_row.lock_owner == given.c.expected, _row.lock_until <= given.c.now),
            ),
        )
        .values(lock_owner=given.c.owner, lock_until=given.c.until)
    ),
)
_held = Read(
    {"id": Text(), "owner": Text()},
    lambda given: select(
        _row.id, _row.lock_owner, _row.status, _row.refresh_at, _row.refresh_token, _row.token_version
    ).join(given, and_(given.c.id == _row.id, given.c.owner == _row.lock_owner)),
)
_seize = (
    update(integrations)
    .where(_it, or_(_row.lock_owner.is_(None), _row.lock_until <= bindparam("now")))
    .values(lock_owner=bindparam("owner"), lock_until=bindparam("until"))
    .returning(_row.provider_slug, _row.access_token, _row.refresh_token, _row.token_version)
)
_release = update(integrations).where(_it).values(_free)
_awaiting = Read(  # in order, or two processes could wait for each other
    {"id": Text(), "version": BigInteger()},
    lambda given: (
        select(_row.id, _row.token_version, _row.status, _row.transitions, _row.tenant_id, _row.provider_slug)
        .join(given, and_(given.c.id == _row.id, given.c.version == _row.token_version))
        .order_by(_row.id)
        .with_for_update(of=integrations)
    ),
)
_store_tokens = Write(
    {
        "id": Text(),
        "version": BigInteger(),
        "owner": Text(),
        "access_token": Text(),
        "refresh_token": Text(),
        "issued_at": BigInteger(),
        "expires_at": BigInteger(),
        "refresh_at": BigInteger(),
        "scopes": Text(),
        "now": BigInteger(),
    },
    lambda given: (
        update(integrations)
        .where(_row.id == given.c.id, _row.token_version == given.c.version)
        .values(
            lock_owner=case((_row.lock_owner == given.c.owner, null()), else_=_row.lock_owner),
            lock_until=case((_row.lock_owner == given.c.owner, null()), else_=_row.lock_until),
            access_token=given.c.access_token,
            refresh_token=func.coalesce(given.c.refresh_token, _row.refresh_token),
            issued_at=given.c.issued_at,
            expires_at=given.c.expires_at,
            refresh_at=given.c.refresh_at,
            scopes=func.coalesce(given.c.scopes, _row.scopes),
            status="active",
            status_reason=null(),
            status_changed_at=case((_row.status == "active", _row.status_changed_at), else_=given.c.now),
            transitions=case((_row.status == "active", _row.transitions), else_=_row.transitions + 1),
            last_refreshed_at=given.c.now,
            last_outcome="refreshed",
            outages=0,
            token_version=_row.token_version + 1,
            updated_at=given.c.now,
        )
    ),
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


def peek(connection: Connection, ids: Sequence[str]) -> list[Seen | None]:
    """What decides whether to refresh, without a write; None where there is no such integration."""
    found = {id_: Seen(*row) for id_, *row in _peek.run(connection, ({"id": id_} for id_ in set(ids)))}
    return [found.get(id_) for id_ in ids]


def acquire(connection: Connection, asked: Sequence[Asked]) -> list[Held | None]:
    """Lock the rows and read them under the lock, which also proves that they can be written; None for what is not to
    be had."""
    _acquire.run(connection, dicts(asked))
    rows = _held.run(connection, ({"id": one.id, "owner": one.owner} for one in asked))
    found = {held.owner: held for held in (Held(*row) for row in rows)}
    return [found.get(one.owner) for one in asked]


def seize(connection: Connection, integration_id: str, *, owner: str, now: datetime, until: datetime) -> Seized | None:
    """Lock the row to disconnect it, whatever its status; None while a refresh is under way."""
    parameters = {"row": integration_id, "owner": owner, "now": to_us(now), "until": to_us(until)}
    row = connection.execute(_seize, parameters).first()
    return None if row is None else Seized(integration_id, owner, *row)


def release(connection: Connection, held: Held | Seized) -> None:
    """Give the lock back."""
    connection.execute(_release, {"row": held.id, "owner": held.owner})


def store(connection: Connection, answers: Sequence[Answer], now: datetime) -> list[bool]:
    """Store what providers answered, and give the locks back. False: newer tokens are there."""
    whole = {(one.id, one.version): one for one in reversed(answers) if one.tokens.access_token is not None}
    fences = ({"id": id_, "version": version} for id_, version in whole)
    before = [_Awaiting(*row) for row in _awaiting.run(connection, fences)]
    stored = [whole[one.id, one.version] for one in before]
    values = (one._asdict() | one.tokens._asdict() | {"now": to_us(now), "tokens": None} for one in stored)
    _store_tokens.run(connection, values)
    put(connection, (of_refresh(one.id, one.version, one.tenant_id, to_us(now)) for one in before), now)
    for one in before:
        if one.status != "active":
            number = one.transitions + 1
            record(connection, Transition(one.id, number, one.tenant_id, one.provider_slug, "active", None, now))
    won = set(map(id, stored))
    return [
        _store_rotation(connection, one, now) if one.tokens.access_token is None else id(one) in won for one in answers
    ]


def _store_rotation(connection: Connection, answer: Answer, now: datetime) -> bool:
    values = {"row": answer.id, "version": answer.version, "owner": answer.owner, "now": to_us(now)}
    rotated = connection.execute(_store_refresh_token, values | {"refresh": answer.tokens.refresh_token})
    return rotated.rowcount == 1


def revoke(connection: Connection, held: Held, reason: str, now: datetime) -> bool:
    """The provider refused this token for good. False: newer ones are there, and stay as they are."""
    values = {"to": "revoked", "reason": reason[:LONGEST_REASON], "next": None, "outcome": "revoked"}
    put_of_integration(connection, FAILED, held.id, now)
    return _written(connection, _end, _fence(held, now) | values)


def blame(connection: Connection, held: Held, reason: str, outcome: str, now: datetime) -> bool:
    """Our own set-up is at fault: status error, looked at again later. False: newer tokens are there."""
    values = {"to": "error", "reason": reason[:LONGEST_REASON], "next": to_us(now + LATER), "outcome": outcome}
    put_of_integration(connection, FAILED, held.id, now)
    return _written(connection, _end, _fence(held, now) | values)


def disconnect(connection: Connection, held: Seized, now: datetime) -> bool:
    """Delete its tokens. False: newer ones are there, and stay as they are."""
    values = {"to": "pending", "reason": "disconnected", "next": None, "outcome": "disconnected"}
    return _written(connection, _disconnect, _fence(held, now) | values)


def suffer_outage(connection: Connection, held: Held, now: datetime) -> int:
    """The provider is down: returns how often in a row. The status stays, for no tenant has lost anything."""
    parameters = {"row": held.id, "owner": held.owner, "now": to_us(now), "outcome": "down"}
    put_of_integration(connection, FAILED, held.id, now)
    return connection.execute(_outage, parameters).scalar() or 1


def note(connection: Connection, held: Held, outcome: str, now: datetime) -> None:
    """Remember that it failed, and how, and give the lock back."""
    put_of_integration(connection, FAILED, held.id, now)
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
