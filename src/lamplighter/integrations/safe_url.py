"""Which URLs may be asked, or be sent a secret."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

MOST_CHARS = 2000


def is_safe(url: str) -> bool:
    """An https:// URL without user name, password or fragment; http:// is for loopback only."""
    if len(url) > MOST_CHARS or not url.isprintable() or " " in url:  # urlsplit would drop a newline in silence
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether only this machine is there."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
