"""The API's description of itself, in OpenAPI 3.1: what the framework knows of its requests, and what routes say of
their answers. Every answer has a schema and an example."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter
from fastapi.routing import APIRoute

from lamplighter.core.errors import BadArguments
from lamplighter.web.answers import PROBLEM, problem_of
from lamplighter.web.auth import LONGEST_ID, Forbidden, Unauthorized
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.describing.sample import sample
from lamplighter.web.describing.shows import CSV, EVENTS, JSON, TEXT, Shows, shows_of
from lamplighter.web.errors import KINDS, UNFORESEEN, Kind
from lamplighter.web.roles import needs_of

REF = "#/components/schemas/{name}"
BEARER = "bearer"
ABOUT = (
    "Errors are `{success: false, error: {code, message, details?}}`, or with `Accept: application/problem+json` "
    "problem documents (RFC 9457). What a caller may do is a matter of its role: superadmin, operator, viewer, tenant."
)

Document = dict[str, Any]

WELL = {200: "What was asked for.", 201: "It was added.", 202: "It is under way."}

NAME: Document = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": PRINTABLE}

ERROR: Document = {
    "description": "Why it was not done. `message` is a sentence that says what to do; `code` is for programs.",
    "type": "object",
    "required": ["success", "error"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "pattern": "^[a-z-]+/[a-z-]+$"},
                "message": {"type": "string"},
                "details": {},
            },
        },
    },
}
AS_PROBLEM: Document = {
    "description": "The same as RFC 9457 has it.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "details": {},
    },
}


class Described(NamedTuple):
    """A route, as the description has it."""

    path: str
    method: str
    name: str
    endpoint: Any

    @property
    def is_public(self) -> bool:
        """Whether nobody has to be signed in."""
        return needs_of(self.endpoint) is None

    @property
    def shown(self) -> Shows:
        """What it says that it answers."""
        return shows_of(self.endpoint) or Shows()


def routes_of(router: APIRouter, prefix: str = "") -> Iterator[Described]:
    """Those of a noun."""
    for route in router.routes:
        assert isinstance(route, APIRoute), "a noun has nothing else"
        for method in sorted(route.methods or ()):
            noun = route.endpoint.__module__.rpartition(".")[2]
            yield Described(
                prefix + route.path_format, method.lower(), f"{noun}.{route.name.strip('_')}", route.endpoint
            )


def describe(found: Document, routes: Sequence[Described]) -> Document:
    """What the framework found, completed by what these routes say."""
    types = [one for route in routes for one in route.shown.types]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    all_ = {**found.get("components", {}).get("schemas", {}), **components, "Error": ERROR, "Problem": AS_PROBLEM}
    for framework_own in ("HTTPValidationError", "ValidationError"):
        all_.pop(framework_own, None)
    known = dict(zip(map(id, types), schemas, strict=True))
    for route in routes:
        operation = found["paths"][route.path][route.method]
        _complete(operation, route, known, all_)
    found["components"] = {
        "schemas": dict(sorted(all_.items())),
        "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer"}},
    }
    found["security"] = [{BEARER: []}]
    return found


def _complete(operation: Document, route: Described, known: dict[int, Document], components: Document) -> None:
    says = operation.get("description", "")
    operation["summary"] = re.split(r"[.:;]", says, maxsplit=1)[0]
    operation["operationId"] = route.name
    operation["tags"] = [route.name.partition(".")[0]]
    if route.is_public:
        operation["security"] = []
    operation["parameters"] = _parameters(operation.get("parameters", []), route)
    operation["responses"] = _well(route.shown, known, components) | _badly(operation, route)


def _parameters(known: list[Document], route: Described) -> list[Document]:
    """With those that only `admit` reads. What is in a path is bounded there, if not before."""
    told = {one["name"]: one for one in known}
    for name in re.findall(r"{(\w+)}", route.path):
        one = told.setdefault(name, {"name": name, "in": "path", "required": True, "schema": {"type": "string"}})
        one["schema"] = NAME | one["schema"]
    return list(told.values())


def _well(shown: Shows, known: dict[int, Document], components: Document) -> Document:
    if shown.redirects:
        return {"303": {"description": "Go there.", "headers": {"Location": {"schema": {"type": "string"}}}}}
    if shown.events:
        return {"200": _told("Events, until it ends.", _event_texts(shown, known, components), EVENTS)}
    if shown.csv:
        return {"200": _told(WELL[200], {"schema": {"type": "string"}, "example": shown.csv}, CSV)}
    if shown.text:
        return {"200": _told(WELL[200], {"schema": {"type": "string"}}, TEXT)}
    if shown.data is None:
        return {"204": {"description": "It is done."}}
    found = {}
    for status, type_ in shown.by_status.items():
        schema = _envelope(shown, known[id(type_)])
        content = {"schema": schema, "example": sample(schema, components)}
        found[str(status)] = _told(WELL[status], content, JSON)
    return found


def _event_texts(shown: Shows, known: dict[int, Document], components: Document) -> Document:
    lines = []
    for name, type_ in shown.events.items():
        data = msgspec.json.encode(sample(known[id(type_)], components)).decode()
        lines.append(f"event: {name}\nid: 1\ndata: {data}\n\n")
    return {"schema": {"type": "string"}, "example": "".join(lines)}


def _envelope(shown: Shows, data: Document) -> Document:
    if shown.bare:
        return data
    properties: Document = {"success": {"const": True}, "data": data}
    if shown.paged:
        next_ = [{"type": "string"}, {"type": "null"}]
        properties["next"] = {"anyOf": next_, "description": "What to go on with, if there is more."}
    properties |= {name: {"type": "integer", "minimum": 0} for name in shown.beside}
    return {"type": "object", "required": list(properties), "properties": properties}


def _badly(operation: Document, route: Described) -> Document:
    """What may go wrong anywhere; `default` stands for what may go wrong with this."""
    if route.shown.redirects:
        return {"default": _told("Why not, for a person.", {"schema": {"type": "string"}}, "text/plain")}
    found = {"default": _error("Anything else.", UNFORESEEN)}
    if not route.is_public:
        found["401"] = _error("Nobody knows who calls.", KINDS[Unauthorized])
        found["403"] = _error("The caller may not do that.", KINDS[Forbidden])
    if operation["parameters"] or "requestBody" in operation:
        found["400"] = _error("A value cannot be: see the details.", KINDS[BadArguments])
    if "{" in route.path:
        found["404"] = _error("There is no such thing, for this caller.", _absent(route))
    return dict(sorted(found.items()))


def _absent(route: Described) -> Kind:
    noun = route.name.partition(".")[0].removesuffix("s").replace("_", "-")
    return next((kind for kind in KINDS.values() if kind.code == f"{noun}/not-found"), Kind(404, "route/not-found"))


def _error(says: str, kind: Kind) -> Document:
    status, code = kind
    told = {"code": code, "message": "a sentence that says what to do."}
    problem = problem_of(status, code, told["message"])
    return {
        "description": says,
        "content": {
            JSON: {"schema": {"$ref": REF.format(name="Error")}, "example": {"success": False, "error": told}},
            PROBLEM: {"schema": {"$ref": REF.format(name="Problem")}, "example": problem},
        },
    }


def _told(says: str, content: Document, media: str) -> Document:
    return {"description": says, "content": {media: content}}
