"""Where people are told: an e-mail address, a webhook's URL, or a URL of Apprise. The last two often hold a secret."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, get_args
from urllib.parse import urlsplit

from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.mailbox import is_address
from lamplighter.integrations.safe_url import MOST_CHARS, is_safe

Channel = Literal["email", "webhook", "apprise"]

CHANNELS: tuple[Channel, ...] = get_args(Channel)


class BadRecipient(ConfigError):
    """Nobody can be told there, or not of that. Its text holds no address."""


def check_channel(channel: str, settings: Settings) -> None:
    """Raises ConfigError if this service cannot send that way."""
    if channel not in CHANNELS:
        raise BadRecipient(f"there is no channel {channel!r:.60}: give one of {', '.join(CHANNELS)}.")
    if channel == "email":
        check_mail(settings)
    if channel == "apprise":
        check_apprise()


def check_mail(settings: Settings) -> None:
    """Raises ConfigError if the settings name no mail server."""
    if settings.smtp_url is None or settings.mail_from is None:
        raise ConfigError("no e-mail can be sent yet: set smtp_url and mail_from.")


def check_apprise() -> None:
    """Raises ConfigError if the library is not installed."""
    if find_spec("apprise") is None:
        raise ConfigError("the channel apprise needs apprise: run `pip install 'lamplighter[apprise]'`.")


def check_address(channel: Channel, address: str) -> None:
    """Raises BadRecipient."""
    if not _CHECKS[channel](address):
        raise BadRecipient(f"the address is not usable for the channel {channel}: give {_WANTED[channel]}.")


def masked(channel: Channel, address: str) -> str:
    """What of an address may be written down: neither a secret nor who it is."""
    if channel == "email":
        return f"{address[:1]}…@{address.rpartition('@')[2]}"
    if channel == "webhook":
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}/…"
    return f"{address.partition('://')[0]}://…"


def shown(channel: Channel, address: str) -> str:
    """The address, fit to be shown to whoever may change it."""
    return address if channel == "email" else masked(channel, address)


def _is_known_to_apprise(url: str) -> bool:
    if not 0 < len(url) <= MOST_CHARS or not url.isprintable():
        return False
    from lamplighter.integrations.notices.channel_apprise import is_known  # noqa: PLC0415 - optional, slow to import

    return is_known(url)


_CHECKS = {"email": is_address, "webhook": is_safe, "apprise": _is_known_to_apprise}
_WANTED = {
    "email": "one such as ada@example.com, in ASCII",
    "webhook": "an https:// URL without user name, password or fragment (http:// is for loopback only)",
    "apprise": "a URL that Apprise knows, such as slack://...",
}
