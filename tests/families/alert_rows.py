"""The rows of docs/reference/alerts.md, as the shipped file has them."""

from __future__ import annotations

from pathlib import Path

from lamplighter.families.alerting.rules import shipped

PAGE = Path(__file__).parents[2] / "docs/reference/alerts.md"


def rows() -> list[str]:
    """One for each rule, in the file's order."""
    return [_row(name, dict(told)) for name, told in shipped().items()]


def _row(name: str, told: dict[str, object]) -> str:
    kind, severity, lasts = told.pop("kind"), told.pop("severity"), told.pop("for", "0s")
    said = ", ".join(f"{key} {value}" for key, value in told.items())
    return f"| `{name}` | {severity} | `{kind}` | {said or '-'} | {lasts} |"
