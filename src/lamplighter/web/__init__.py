"""The HTTP API and the dashboard, as ASGI apps for a host application to mount."""

from __future__ import annotations

from lamplighter.web.app import callback_url, http_api
from lamplighter.web.dashboard import dashboard
from lamplighter.web.roles import Caller, Role

__all__ = ["Caller", "Role", "callback_url", "dashboard", "http_api"]
