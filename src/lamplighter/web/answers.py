"""What the API answers: `{success: true, data}`, or `{success: false, error: {code, message, details?}}`.

A page of a list has `next` beside `data`: what to go on with, or null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from fastapi import Query
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from msgspec import Struct

HEADERS = {
    "Cache-Control": "no-store",  # each answer is for its caller, and some hold a token
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the callback's address holds a code
    "X-Content-Type-Options": "nosniff",
}

Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str, Query(max_length=200, pattern=r"^[!-~]*$")]


class Shown(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is shown of a noun. JSON has its fields in camelCase."""


class Listed(Protocol):
    """What a list is made of."""

    @property
    def id(self) -> str: ...


def data(shown: object, *, status: int = 200) -> Response:
    """What was asked for."""
    return _json(status, {"success": True, "data": shown})


def page(shown: Sequence[Listed], limit: int, **more: int) -> Response:
    """Some of what was asked for, and what counts all of it."""
    next_ = shown[-1].id if len(shown) == limit else None
    return _json(200, {"success": True, "data": shown, "next": next_, **more})


def nothing() -> Response:
    """It is done, and there is no more to say."""
    return Response(status_code=204, headers=HEADERS)


def error(
    status: int, code: str, message: str, *, details: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Why it was not done."""
    told: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        told["details"] = details
    return _json(status, {"success": False, "error": told}, headers)


def sentence(status: int, message: str) -> Response:
    """For a person's browser. Text, so that nothing in it can be markup."""
    return PlainTextResponse(message, status, HEADERS)


def see_other(location: str) -> Response:
    """Go there, with a GET."""
    return RedirectResponse(location, 303, HEADERS)


def camel(name: str) -> str:
    """A name as JSON has it."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode(content)  # refuses a Secret
    return Response(body, status, HEADERS | dict(headers or {}), "application/json")
