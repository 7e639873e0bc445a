"""Sessions of browsers: a cookie with a random id, of which the store has a digest, who it is, and until when.

A session ends twelve hours after it began, whatever happens meanwhile. Whoever signs in gets a new one: an id that
somebody planted before is worth nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from lamplighter.core.clock import Clock
from lamplighter.core.model import Record
from lamplighter.store.base import Store
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.recalled import Recalled

KIND = "web_session"
LIFE = timedelta(hours=12)
MOST = 500  # sessions: they are read together; the oldest make room
LONGEST_ID = 100  # characters


class Session(Struct, frozen=True, kw_only=True):
    """Whose it is, and until when."""

    user_id: str
    role: Role
    tenants: tuple[str, ...] = ()
    ends_at: datetime

    @property
    def caller(self) -> Caller:
        """Who calls in it. No browser needs access tokens."""
        return Caller(user_id=self.user_id, role=self.role, tenants=frozenset(self.tenants))


class Sessions:
    """The sessions in a store. `secure`: the cookie is for https only, as it is to be but on loopback."""

    def __init__(self, store: Store, *, clock: Clock, secure: bool) -> None:
        self._store = store
        self._clock = clock
        self.secure = secure
        self._sessions = Recalled(store, KIND, Session, clock=clock)
        self.cookie = "__Host-lamplighter" if secure else "lamplighter"

    async def caller(self, request: Request) -> Caller | None:
        """Who is signed in there. Raises StoreError."""
        if (name := self._name(request)) is None:
            return None
        session = await self._sessions.get(name)
        return session.caller if session and self._clock() < session.ends_at else None

    async def begin(self, request: Request, response: Response, caller: Caller) -> None:
        """Sign somebody in, under a new id."""
        await self._forget(request)
        await self._make_room()
        id_, ends_at = secrets.token_urlsafe(32), self._clock() + LIFE
        session = Session(
            user_id=caller.user_id, role=caller.role, tenants=tuple(sorted(caller.tenants)), ends_at=ends_at
        )
        text = msgspec.json.encode(session).decode()
        await self._store.put(Record(kind=KIND, name=_digest(id_), value=text, expires_at=ends_at))
        self._sessions.forget()
        self._set_cookie(response, id_, LIFE)

    async def end(self, request: Request, response: Response) -> None:
        """Sign out: at once here, in other processes within seconds (`recalled.KNOWN`)."""
        await self._forget(request)
        self._set_cookie(response, "", timedelta())

    async def end_all(self) -> None:
        """Sign everybody out."""
        for name in await self._sessions.all():
            await self._store.drop(KIND, name)
        self._sessions.forget()

    async def _forget(self, request: Request) -> None:
        if (name := self._name(request)) is not None:
            await self._store.drop(KIND, name)
            self._sessions.forget()

    async def _make_room(self) -> None:
        known = await self._sessions.all()
        oldest_first = sorted(known, key=lambda name: known[name].ends_at)
        for name in oldest_first[: max(0, len(known) - MOST + 1)]:
            await self._store.drop(KIND, name)

    def _name(self, request: Request) -> str | None:
        id_ = request.cookies.get(self.cookie, "")
        return _digest(id_) if 0 < len(id_) <= LONGEST_ID else None

    def _set_cookie(self, response: Response, id_: str, life: timedelta) -> None:
        response.set_cookie(
            self.cookie, id_, int(life.total_seconds()), httponly=True, samesite="lax", secure=self.secure, path="/"
        )


def _digest(id_: str) -> str:
    return hashlib.sha256(id_.encode(errors="replace")).hexdigest()
