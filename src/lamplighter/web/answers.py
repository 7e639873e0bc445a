"""What the API answers: `{success: true, data}`, or `{success: false, error: {code, message, details?}}`.

Whoever accepts `application/problem+json` gets errors as RFC 9457 has them: type, title, status, detail, code, details.

A page of a list has `next` beside `data`: what to go on with, or null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Protocol

import msgspec
from fastapi import Query
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from msgspec import Struct
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

PROBLEM = "application/problem+json"

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
    return page_up_to(shown, shown[-1].id if len(shown) == limit else None, **more)


def page_up_to(shown: Sequence[object], next_: str | None, **more: int) -> Response:
    """The same, where what is gone on with is not the last that is shown."""
    return _json(200, {"success": True, "data": shown, "next": next_, **more})


def document(content: Mapping[str, object]) -> Response:
    """What has a form of its own."""
    return _json(200, content)


def nothing() -> Response:
    """It is done, and there is no more to say."""
    return Response(status_code=204, headers=HEADERS)


def error(
    status: int, code: str, message: str, *, details: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Why it was not done."""
    return _Error(status, code, message, {} if details is None else {"details": details}, headers)


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


def problem_of(status: int, code: str, message: str) -> dict[str, object]:
    """An error as RFC 9457 has it."""
    return {
        "type": f"urn:lamplighter:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
    }


class _Error(Response):
    """An error, in the form that its client accepts: that shows when it is sent."""

    def __init__(
        self, status: int, code: str, message: str, more: Mapping[str, object], headers: Mapping[str, str] | None
    ) -> None:
        told = {"success": False, "error": {"code": code, "message": message, **more}}
        sent = HEADERS | {"Vary": "Accept"} | dict(headers or {})
        super().__init__(msgspec.json.encode(told), status, sent, "application/json")
        self._problem = {**problem_of(status, code, message), **more}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _accepts_problems(Headers(scope=scope).get("Accept", "")):
            self.body = msgspec.json.encode(self._problem)
            self.headers["Content-Length"] = str(len(self.body))
            self.headers["Content-Type"] = PROBLEM
        await super().__call__(scope, receive, send)


def _accepts_problems(accept: str) -> bool:
    for one in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if kind == PROBLEM:
            return not any(part.startswith("q=0") and not part.strip("q=0.") for part in parameters)
    return False


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode(content)  # refuses a Secret
    return Response(body, status, HEADERS | dict(headers or {}), "application/json")
