"""The rows of docs/reference/http-api.md, as the API's description has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS = {"text/event-stream": "events", "text/plain": "text", "text/csv": "CSV"}


def rows(document: Mapping[str, Any]) -> list[str]:
    """One for each operation, by path."""
    return [
        f"| `{method.upper()} {path}` | {_answer(says)} | {says['summary']} |"
        for path, methods in sorted(document["paths"].items())
        for method, says in sorted(methods.items())
    ]


def _answer(says: Mapping[str, Any]) -> str:
    """What it answers when all goes well, in a word."""
    status, answer = next((status, answer) for status, answer in says["responses"].items() if status[0] in "23")
    content = answer.get("content", {}).get("application/json")
    if content is None:
        return next((TEXTS[media] for media in answer.get("content", {})), status)
    data = content["schema"].get("properties", {}).get("data", {})
    many, schema = ("list of ", data["items"]) if "items" in data else ("", data)
    return f"{many}`{schema['$ref'].rpartition('/')[2]}`" if "$ref" in schema else "JSON"
