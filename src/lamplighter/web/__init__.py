"""The HTTP API, as an ASGI app for a host application to mount."""

from __future__ import annotations

from lamplighter.web.app import integrations_api
from lamplighter.web.given import Caller

__all__ = ["Caller", "integrations_api"]
