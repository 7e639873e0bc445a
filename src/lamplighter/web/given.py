"""What the host gave the API, for routes to find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from msgspec import Struct

from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.service import Service


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls. `tenants`: whom it owns. A superadmin may act for all tenants.

    `may_read_tokens`: it may have access tokens, of the tenants that it may act for. That is for services; no owner's
    browser needs it, and a superadmin does not have it by being one.
    """

    user_id: str
    tenants: frozenset[str] = frozenset()
    is_superadmin: bool = False
    may_read_tokens: bool = False


Identify = Callable[[Request], Awaitable[Caller | None]]


class Given(NamedTuple):
    """The arguments of `integrations_api`, worked out."""

    tokens: TokenFamily
    identify: Identify
    callback_url: str


def given(request: Request) -> Given:
    """What this request's API was given."""
    found: Given = request.app.state.given
    return found


def _tokens(request: Request) -> TokenFamily:
    return given(request).tokens


def _service(request: Request) -> Service:
    return given(request).tokens.service


Tokens = Annotated[TokenFamily, Depends(_tokens)]
Ours = Annotated[Service, Depends(_service)]
