"""Whom an HTTP client of ours believes: the certificate authorities of this machine."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2


@cache
def trust() -> ssl.SSLContext:
    """One for all clients of the process: reading the authorities takes longer than a request."""
    return httpx2.create_ssl_context()
