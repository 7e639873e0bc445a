"""E-mail: a plain text and the same as HTML, by way of the operator's SMTP server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import NamedTuple, NoReturn, Self, TypedDict
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPDataError, SMTPException, SMTPRecipientRefused, SMTPResponseException

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.mailbox import read_mailbox
from lamplighter.core.secret import Secret
from lamplighter.integrations.notices.address import check_mail
from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.channel import Refused, Unanswered, Undelivered
from lamplighter.integrations.notices.message import Message, Target
from lamplighter.integrations.notices.wording import Telling, html_of

TIMEOUT = 30  # seconds for each answer of the server
CONNECTING = 10
GREETING = 5  # seconds, where somebody waits
MOST_SESSIONS = 10  # at once: servers refuse more of one client, and what is killed in one may be doubled
PASS_OVER = timedelta(seconds=30)
POLICY = policy.SMTP.clone(cte_type="7bit")  # what every server takes
ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")  # RFC 3463


class _Options(TypedDict):
    hostname: str
    port: int
    username: str | None
    password: str | None
    use_tls: bool
    start_tls: bool


class Server(NamedTuple):
    """An SMTP server, as `smtp_url` names it."""

    host: str
    port: int
    user: str | None
    password: Secret | None
    speaks_tls: bool
    starts_tls: bool

    @classmethod
    def from_url(cls, url: Secret) -> Self:
        """`smtps://` speaks TLS at once; `smtp://` is asked to start it, unless it says `?starttls=never`."""
        parts = urlsplit(url.reveal())
        speaks_tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or (465 if speaks_tls else 587),
            user=unquote(parts.username) if parts.username else None,
            password=Secret(unquote(parts.password)) if parts.password else None,
            speaks_tls=speaks_tls,
            starts_tls=not speaks_tls and parts.query != "starttls=never",
        )

    @property
    def name(self) -> str:
        """Fit to be shown."""
        return f"{self.host}:{self.port}"

    def options(self) -> _Options:
        """How it is reached, as aiosmtplib has it."""
        return {
            "hostname": self.host,
            "port": self.port,
            "username": self.user,
            "password": self.password.reveal() if self.password else None,
            "use_tls": self.speaks_tls,
            "start_tls": self.starts_tls,
        }


class MailSender:
    """Sends mails, by the first server that takes them. What is not set up is tried again, until it is or the message
    is too old."""

    def __init__(self, settings: Settings, *, clock: Clock = utcnow) -> None:
        self._settings = settings
        self._clock = clock
        self._passed_over: dict[Server, datetime] = {}  # until when, after one did not answer
        self._sessions = asyncio.Semaphore(MOST_SESSIONS)

    async def send(self, message: Message | AlarmMessage, telling: Telling, target: Target) -> None:
        check_mail(self._settings)
        assert self._settings.smtp_url is not None
        assert self._settings.mail_from is not None
        mail = mail_of(message, telling, self._settings.mail_from, target.address.reveal())
        failure: Undelivered | None = None
        for server in self._in_order(servers_of(self._settings.smtp_url)):
            try:
                async with self._sessions:
                    return await send_by(server, mail)
            except Unanswered:
                self._pass_over(server)
                raise  # another server would double it at once
            except Undelivered as error:
                self._pass_over(server)
                failure = error
        assert failure is not None, "there is a server"
        raise failure

    def _in_order(self, servers: Sequence[Server]) -> list[Server]:
        """As they are given; those that failed just now come last, for they may still be all that is left."""
        now = self._clock()
        return sorted(servers, key=lambda server: self._passed_over.get(server, now) > now)

    def _pass_over(self, server: Server) -> None:
        self._passed_over[server] = self._clock() + PASS_OVER


def servers_of(smtp_url: Secret) -> list[Server]:
    """Those that a setting names, in their order."""
    return [Server.from_url(Secret(url)) for url in smtp_url.reveal().split()]


async def send_by(server: Server, mail: EmailMessage) -> None:
    """Raises Refused, Unanswered if it may have arrived, Undelivered if it has not: then another server may take it."""
    client = aiosmtplib.SMTP(**server.options(), timeout=TIMEOUT)
    try:
        await client.connect(timeout=CONNECTING)
        await client.mail(mail["From"].addresses[0].addr_spec)
        await client.rcpt(mail["To"])
        await _hand_over(client, mail)
    except (SMTPException, OSError) as error:
        _explain(error)
    finally:
        await _leave(client)


async def _hand_over(client: aiosmtplib.SMTP, mail: EmailMessage) -> None:
    """From here on the server may have it, whatever is heard of it."""
    try:
        await client.data(mail.as_bytes(policy=POLICY))
    except SMTPDataError:
        raise
    except (SMTPException, OSError) as error:
        kind = type(error).__name__
        raise Unanswered(
            f"the mail server was sent the mail and gave no answer ({kind}): it may have arrived."
        ) from None


async def _leave(client: aiosmtplib.SMTP) -> None:
    with suppress(SMTPException, OSError):
        if client.is_connected:
            await client.quit(timeout=GREETING)
    client.close()


async def greet(server: Server) -> None:
    """Connect and log in, and send nothing. Raises Undelivered, without the server's words."""
    client = aiosmtplib.SMTP(**server.options(), timeout=GREETING)
    try:
        async with client:
            pass
    except (SMTPException, OSError) as error:
        _explain(error)


def mail_of(message: Message | AlarmMessage, telling: Telling, sender: str, address: str) -> EmailMessage:
    """The mail. A repeat of it has the same Message-ID and date, so that mailboxes show it once."""
    mailbox = read_mailbox(sender)
    mail = EmailMessage()
    mail["From"] = mailbox
    mail["To"] = address
    mail["Subject"] = telling.subject
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.id}@{mailbox.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice answers it
    mail.set_content(telling.text)
    if html := html_of(message, telling):
        mail.add_alternative(html, subtype="html")
    return mail


def _explain(error: SMTPException | OSError) -> NoReturn:
    """Without the server's words, which may repeat the address or the login, and without the error that has them."""
    if not isinstance(error, SMTPResponseException):
        kind = type(error).__name__
        raise Undelivered(f"the mail server cannot be used ({kind}): see that smtp_url is right.") from None
    code = _code(error)
    if error.code >= 500 and isinstance(error, SMTPRecipientRefused | SMTPDataError):
        raise Refused(f"the mail server refuses it for good ({code}): see that the address is right.") from None
    advice = "see that smtp_url and mail_from are right"
    raise Undelivered(f"the mail server does not take it now ({code}): {advice}.") from None


def _code(refusal: SMTPResponseException) -> str:
    enhanced = ENHANCED_CODE.match(refusal.message)
    return f"{refusal.code} {enhanced.group()}" if enhanced else str(refusal.code)
