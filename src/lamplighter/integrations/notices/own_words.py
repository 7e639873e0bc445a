"""A tenant's own words for an event: templates that can do little, so that they end, stay small and see only facts.

Jinja's immutable sandbox keeps them from anything but what they are given. It does not keep them from working for
hours, or from making gigabytes: so they may branch, loop once over `notices`, and put in values with the filters below,
and nothing else. What they make is cut off besides, and what fails all the same is replaced by the shipped words.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import Struct
from sqlalchemy import Connection, select, update

from lamplighter.core.clock import from_us, maybe_from_us, to_us
from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.integrations.notices.words import LONGEST_LINE, one_line
from lamplighter.integrations.storage.tables import templates

OPERATORS = ""  # in place of a tenant's id
LONGEST = 16_384  # characters of a template
LARGEST = 262_144  # characters of what it makes
PATIENCE = 2.0  # seconds
DEEPEST = 20  # nodes within nodes
FILTERS = ("capitalize", "default", "escape", "e", "join", "length", "lower", "title", "trim", "truncate", "upper")

_row = templates.c


class BadTemplate(ConfigError):
    """A tenant's words for an event cannot be used."""


class Failed(LamplighterError):
    """They could not be rendered this time."""


class OwnWords(Struct, frozen=True, kw_only=True):
    """A tenant's, or (None) the operators', own words for an event; what is None is as shipped.

    `failed_at`, `failure`: when a message had to do without them the last time, and why.
    """

    tenant_id: str | None
    event: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    updated_at: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None


class Rendered(NamedTuple):
    """What they come to."""

    subject: str | None
    text: str | None
    html: str | None


def render(words: OwnWords, facts: Mapping[str, Any]) -> Rendered:
    """Raises Failed, in a sentence."""
    subject = _rendered("subject", words.subject, facts)
    return Rendered(
        subject and one_line(subject, LONGEST_LINE),
        _rendered("text", words.text, facts),
        _rendered("html", words.html, facts),
    )


def read_own_words(connection: Connection, tenant_id: str | None, event: str) -> OwnWords | None:
    """Those for that event, if there are any."""
    statement = select(templates).where(_row.tenant_id == (tenant_id or OPERATORS), _row.event == event)
    row = connection.execute(statement).first()
    return None if row is None else own_words(row)


def own_words(row: Any) -> OwnWords:
    """Out of a row."""
    return OwnWords(
        tenant_id=row.tenant_id or None,
        event=row.event,
        subject=row.subject,
        text=row.text,
        html=row.html,
        updated_at=from_us(row.updated_at),
        failed_at=maybe_from_us(row.failed_at),
        failure=row.failure,
    )


def note_failure(connection: Connection, words: OwnWords, failure: str, now: datetime) -> None:
    """A message had to do without these."""
    same = (_row.tenant_id == (words.tenant_id or OPERATORS), _row.event == words.event)
    connection.execute(update(templates).where(*same).values(failed_at=to_us(now), failure=failure))


def _rendered(part: str, source: str | None, facts: Mapping[str, Any]) -> str | None:
    if source is None:
        return None
    try:
        return _bounded(_template(source, is_html=part == "html").generate(facts))
    except Failed as error:
        raise Failed(f"its {part} {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever a tenant wrote
        raise Failed(f"its {part} cannot be rendered ({type(error).__name__}): {one_line(str(error), 200)}") from None


def _bounded(pieces: Any) -> str:
    made, size, until = [], 0, time.monotonic() + PATIENCE
    for piece in pieces:
        size += len(piece)
        if size > LARGEST:
            raise Failed(f"makes more than {LARGEST:,} characters: let it say less.")
        if time.monotonic() > until:
            raise Failed(f"takes longer than {PATIENCE:g} s: let it do less.")
        made.append(piece)
    whole = "".join(made)
    whole.encode()  # or what no mail can hold would be found out when it is sent
    return whole


def _template(source: str, *, is_html: bool) -> Any:
    if len(source) > LONGEST:
        raise Failed(f"has more than {LONGEST:,} characters: shorten it.")
    environment = _environment(is_html)
    _check(environment.parse(source))
    return environment.from_string(source)


_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.For,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Filter,
    nodes.Keyword,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Test,
)


def _check(template: nodes.Template) -> None:
    """Before it is compiled: deep expressions cost Python's compiler its stack."""
    waiting: list[tuple[nodes.Node, int, bool]] = [(template, 0, False)]
    while waiting:
        node, depth, in_loop = waiting.pop()
        is_loop = isinstance(node, nodes.For)
        if not isinstance(node, _ALLOWED) or (isinstance(node, nodes.For) and (in_loop or not _is_over_notices(node))):
            raise Failed(
                f"has a {type(node).__name__} in line {node.lineno}: it can use values, if, filters, and one loop over "
                "notices that is in no other."
            )
        if isinstance(node, nodes.Filter) and (node.name not in FILTERS or node.node is None):
            raise Failed(f"uses the filter {node.name!r:.40}: there are {', '.join(FILTERS)}.")
        if depth > DEEPEST:
            raise Failed(f"has more than {DEEPEST} expressions within each other: make it simpler.")
        waiting += [(child, depth + 1, in_loop or is_loop) for child in node.iter_child_nodes()]


def _is_over_notices(node: nodes.For) -> bool:
    over = node.iter
    return isinstance(over, nodes.Name) and over.name == "notices" and not node.recursive


class _Words(ImmutableSandboxedEnvironment):
    """Where a name after a dot is a fact of that name, and never something of Python's."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict) and argument in obj:
            return obj[argument]
        return self.undefined(obj=obj if isinstance(obj, Undefined) else None, name=str(argument))


@cache
def _environment(is_html: bool) -> _Words:  # noqa: FBT001 - cached by it
    environment = _Words(autoescape=is_html, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    return environment
