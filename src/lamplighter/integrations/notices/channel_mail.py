"""E-mail: a plain text and the same as HTML, by way of the operator's SMTP server."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from typing import NamedTuple, NoReturn, Self, TypedDict
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from css_inline import CSSInliner

from lamplighter.core.config import Settings
from lamplighter.core.mailbox import read_mailbox
from lamplighter.core.secret import Secret
from lamplighter.integrations.notices.address import check_mail
from lamplighter.integrations.notices.alarm import AlarmMessage
from lamplighter.integrations.notices.channel import Refused, Undelivered
from lamplighter.integrations.notices.message import Message, Target
from lamplighter.integrations.notices.wording import Telling, as_html

TIMEOUT = 30  # seconds for each answer of the server
GREETING = 5  # seconds, where somebody waits
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
    """Sends mails. What is not set up is tried again, until it is or the message is too old."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, message: Message | AlarmMessage, telling: Telling, target: Target) -> None:
        check_mail(self._settings)
        assert self._settings.smtp_url is not None
        assert self._settings.mail_from is not None
        server = Server.from_url(self._settings.smtp_url)
        mail = mail_of(message, telling, self._settings.mail_from, target.address.reveal())
        try:
            await aiosmtplib.send(mail, **server.options(), timeout=TIMEOUT)
        except (SMTPException, OSError) as error:
            _explain(error)


async def greet(smtp_url: Secret) -> None:
    """Connect and log in, and send nothing. Raises Undelivered, without the server's words."""
    client = aiosmtplib.SMTP(**Server.from_url(smtp_url).options(), timeout=GREETING)
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
    mail.add_alternative(_inliner().inline(as_html(message, telling)), subtype="html")
    return mail


def _explain(error: SMTPException | OSError) -> NoReturn:
    """Without the server's words, which may repeat the address or the login, and without the error that has them."""
    refusal = error.recipients[0] if isinstance(error, SMTPRecipientsRefused) else error
    if not isinstance(refusal, SMTPResponseException):
        kind = type(error).__name__
        raise Undelivered(f"the mail server cannot be used ({kind}): see that smtp_url is right.") from None
    code = _code(refusal)
    if refusal.code >= 500 and isinstance(error, SMTPRecipientsRefused | SMTPDataError):
        raise Refused(f"the mail server refuses it for good ({code}): see that the address is right.") from None
    advice = "see that smtp_url and mail_from are right"
    raise Undelivered(f"the mail server does not take it now ({code}): {advice}.") from None


def _code(refusal: SMTPResponseException) -> str:
    enhanced = ENHANCED_CODE.match(refusal.message)
    return f"{refusal.code} {enhanced.group()}" if enhanced else str(refusal.code)


@cache
def _inliner() -> CSSInliner:
    return CSSInliner(load_remote_stylesheets=False)  # styles stand in the template: nothing is ever fetched
