"""An example of anything that has a JSON Schema: it is made of the schema, so that it cannot be out of date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

MOMENT = "2030-06-01T12:00:00Z"

NAMED: dict[str, Any] = {  # what a field of that name holds, where its type leaves that open
    "id": "0198c0de-7a3f-7c51-8a64-52b0c8f1d2e3",
    "queue": "default",
    "tenant": "copper-bakery",
    "tenantId": "copper-bakery",
    "provider": "lantern-drive",
    "slug": "lantern-drive",
    "displayName": "Lantern Drive",
    "accessToken": "[REDACTED]",
    "refreshToken": "[REDACTED]",
    "clientSecret": "[REDACTED]",
    "credentials": "[REDACTED]",
    "schedule": "0 3 * * * UTC",
    "key": "provider:lantern-drive",
    "job": "report",
    "args": {"month": "2030-05"},
    "progress": 0.5,
    "result": None,
    "worker": "host-1-4711-0b5e1f",
    "host": "host-1",
    "weight": 1,
    "message": "it is not usable",
    "reason": "the provider says so",
    "url": "https://provider.example/authorize?state=...",
}


def sample(schema: Schema, components: Mapping[str, Schema], name: str = "") -> Any:
    """Something that the schema allows."""
    if "$ref" in schema:
        return sample(components[schema["$ref"].rpartition("/")[2]], components, name)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if name in NAMED and _may_be(schema, NAMED[name]):
        return NAMED[name]
    if "anyOf" in schema:
        return sample(next(one for one in schema["anyOf"] if one.get("type") != "null"), components, name)
    return _of_type(schema, components, name)


def _may_be(schema: Schema, value: object) -> bool:
    kinds = {one.get("type") for one in schema.get("anyOf", [schema])}
    kind = {str: "string", list: "array", int: "integer", type(None): "null"}.get(type(value))
    has_format = any("format" in one for one in schema.get("anyOf", [schema]))
    return None in kinds or (kind in kinds and not has_format)


def _of_type(schema: Schema, components: Mapping[str, Schema], name: str) -> Any:
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {key: sample(one, components, key) for key, one in schema["properties"].items()}
        case "object":
            more = schema.get("additionalProperties")
            return {"default": sample(more, components)} if isinstance(more, dict) else {}
        case "array":
            return [sample(schema.get("items") or {}, components, name)]
        case "string":
            return MOMENT if schema.get("format") == "date-time" else name or "text"
        case kind:
            return {"boolean": False, "integer": 1, "number": 1.0}.get(str(kind), {})
