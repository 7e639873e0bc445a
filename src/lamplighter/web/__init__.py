"""The HTTP API, as an ASGI app for a host application to mount."""

from __future__ import annotations

from lamplighter.web.app import http_api
from lamplighter.web.roles import Caller, Role

__all__ = ["Caller", "Role", "http_api"]
