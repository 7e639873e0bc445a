"""What tests of notices share: integrations to which things happen, a mail server, a webhook's receiver."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from sqlalchemy import Connection, select
from tests.integrations.support import KEY, Home

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.notices.dispatch import Composed, Dispatcher
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.planner import NoPlanner
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.storage.tables import deliveries, messages, notices
from lamplighter.integrations.tenants import Tenant
from lamplighter.integrations.transition import Event, Transition, record

PASSWORD = "hunter2-of-the-mail-server"
SENDER = "Lamplighter <lamps@example.com>"
STATUS: dict[Event, str] = {
    "integration.connected": "active",
    "integration.disconnected": "pending",
    "integration.recovered": "active",
    "integration.expired": "expired",
    "integration.revoked": "revoked",
    "integration.error": "error",
}


def settings_of(home: Home, smtp_url: str | None = "smtp://127.0.0.1:9", **more: Any) -> Settings:
    """For a service at home there, that can send mail."""
    return Settings(
        store=home.url,
        folder=home.folder,
        encryption_keys=Secret(KEY),
        smtp_url=Secret(smtp_url) if smtp_url else None,
        mail_from=SENDER,
        **more,
    )


@asynccontextmanager
async def telling(home: Home, *, clock: Clock = utcnow, settings: Settings | None = None) -> AsyncIterator[Service]:
    """A service there; several may be open at once, as if they were processes."""
    async with open_service(settings or settings_of(home), NoPlanner(), clock=clock) as service:
        yield service


async def composed(service: Service, clock: Clock) -> list[Composed]:
    """What both steps of a dispatcher make, taken as a job takes them."""
    dispatcher = Dispatcher(service.database, clock=clock)
    await dispatcher.address()
    return [one async for batch in dispatcher.compose() for one in batch]


def provider(slug: str = "lantern", name: str = "Lantern Drive") -> Provider:
    return Provider(
        slug=slug,
        display_name=name,
        auth_url="https://a.example",
        token_url="https://t.example",
        client_id="c",
        client_secret=Secret("s"),
    )


async def connected(
    service: Service, tenants: Sequence[str] = ("t-1",), slug: str = "lantern", *, name: str | None = None
) -> list[str]:
    """An integration of each tenant, by id; that it is there says nothing to anybody."""
    await service.registrations.register(provider(slug))
    await service.tenants.add([Tenant(id=id_, name=name or f"Bakery {id_}", owner_id="auth|1") for id_ in tenants])
    new = [NewIntegration(tenant_id=id_, provider_slug=slug, id=f"{slug}-{id_}") for id_ in tenants]
    await service.integrations.add_many(new)
    return [f"{slug}-{id_}" for id_ in tenants]


async def happens(
    service: Service,
    integration_ids: Sequence[str],
    event: Event = "integration.revoked",
    *,
    at: datetime,
    number: int = 1,
    reason: str | None = "invalid_grant",
) -> None:
    """That has happened to all of them, as the `number`th thing to each."""

    def write(connection: Connection) -> None:
        for id_ in integration_ids:
            slug, _, tenant = id_.partition("-")
            record(connection, Transition(id_, number, tenant, slug, STATUS[event], reason, at), event)

    await service.database.write(write)


class Sent(NamedTuple):
    """A message as the tables have it, and the notices in it."""

    id: str
    topic: str
    notices: tuple[str, ...]
    ended: bool
    failure: str | None


async def sent(service: Service) -> list[Sent]:
    """All messages, by age."""

    def read(connection: Connection) -> list[Sent]:
        found = connection.execute(select(messages).order_by(messages.c.id)).all()
        told = select(deliveries.c.notice_id).order_by(deliveries.c.notice_id)
        return [
            Sent(
                row.id,
                row.topic,
                tuple(connection.execute(told.where(deliveries.c.message_id == row.id)).scalars()),
                row.ended_at is not None,
                row.failure,
            )
            for row in found
        ]

    return await service.database.read(read)


async def noticed(service: Service) -> list[str]:
    """The ids of all notices."""
    return list(
        await service.database.read(
            lambda connection: connection.execute(select(notices.c.id).order_by(notices.c.id)).scalars().all()
        )
    )


class MailServer:
    """A real SMTP server. `answer`: what it says to a recipient; `mails`: what it took; `hangs_up`: whether it
    does so in place of an answer to the mail of that Message-ID, `unanswered`: those of which it did."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[str] = []
        self.answer = "250 OK"
        self.hangs_up: Callable[[str], bool] = lambda _id: False
        self.unanswered: list[str] = []
        self.came = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://lamps:{PASSWORD}@127.0.0.1:{self.port}?starttls=never"

    async def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Down."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _session(self) -> SMTP:
        return SMTP(self, hostname="mail.test", authenticator=self._login, auth_require_tls=False, enable_SMTPUTF8=True)

    def _login(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, login: object) -> AuthResult:
        assert isinstance(login, LoginPassword)
        self.logins.append(login.password.decode())
        return AuthResult(success=login.password == PASSWORD.encode(), handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        assert mail["To"] == envelope.rcpt_tos[0]
        self.mails.append(mail)
        self.came.set()
        if self.hangs_up(id_ := str(mail["Message-ID"])):
            self.unanswered.append(id_)
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 taken"


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """One on a free port."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # its own lines hold all that it is told
    server = MailServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Call(NamedTuple):
    """A request that a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A webhook's receiver that answers as it is told to. `head`: lines to add; `body`: what follows them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.status = 200
        self.head = ""
        self.body = b""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:-1]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            self.calls.append(Call(headers, await reader.readexactly(int(headers["content-length"]))))
            writer.write(f"HTTP/1.1 {self.status} So\r\n{self.head}Connection: close\r\n\r\n".encode() + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that hung up
        finally:
            writer.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """One on a free port."""
    it = Receiver()
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0) as server:
        it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield it
