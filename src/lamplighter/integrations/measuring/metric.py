"""What is measured: each metric is declared once, with what it is of and how it adds up.

declare(Metric("orders.placed", kind="count", title="Orders placed"))
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from lamplighter.core.errors import ConfigError

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
LONGEST_NAME = 60  # characters
LONGEST_WORDS = 100
MOST = 100  # metrics in one process: each has rows of its own for every tenant and hour
OURS = ("jobs.", "refreshes.", "integrations.", "files.", "notifications.")  # what names of others do not begin with

Kind = Literal["count", "values", "share"]


class BadMetric(ConfigError):
    """There is no such metric, or it cannot be declared, or not be measured like that."""


class Metric(Struct, frozen=True):
    """A metric.

    Args:
        kind: `count`: how many, added up. `values`: each counts, and their quantiles are told. `share`: the good part
            of a time.
        unit: what is counted, or what values are in, such as `s`.
        title: what charts call it.
    """

    name: str
    kind: Kind
    title: str
    unit: str = ""


class Figure(NamedTuple):
    """One number that a metric tells of a window."""

    name: str
    title: str


FIGURES: Mapping[Kind, tuple[Figure, ...]] = {
    "count": (Figure("total", "Total"),),
    "values": (
        Figure("count", "Number"),
        Figure("mean", "Mean"),
        Figure("least", "Least"),
        Figure("p50", "Half"),
        Figure("p95", "95 %"),
        Figure("p99", "99 %"),
        Figure("most", "Most"),
    ),
    "share": (Figure("share", "Share"),),
}

_METRICS: dict[str, Metric] = {}


def declare(metric: Metric) -> Metric:
    """Let there be a metric, in every process that measures it or rolls it up. The same once more changes nothing.

    Raises:
        BadMetric: its name, kind or words cannot be, the name is another's, or there are too many.
    """
    if len(metric.name) > LONGEST_NAME or not NAME.fullmatch(metric.name):
        raise BadMetric(f"no metric can be called {metric.name!r:.80}: give a name such as orders.placed.")
    if metric.name.startswith(OURS):
        raise BadMetric(f"{metric.name} cannot be declared: metrics of {', '.join(OURS)} are Lamplighter's own.")
    if metric.kind not in {"count", "values"}:
        raise BadMetric(f"{metric.name} cannot be a {metric.kind!r:.40}: declare it as count or values.")
    if not 0 < len(metric.title) <= LONGEST_WORDS or len(metric.unit) > LONGEST_WORDS or not metric.title.isprintable():
        raise BadMetric(f"the words of {metric.name} cannot be: give it a title of 1 to {LONGEST_WORDS} characters.")
    if len(_METRICS) >= MOST and metric.name not in _METRICS:
        raise BadMetric(f"{metric.name} is one too many: there can be {MOST} metrics, ours among them.")
    if _METRICS.setdefault(metric.name, metric) != metric:
        raise BadMetric(f"{metric.name} is declared already, in another way: give yours another name.")
    return metric


def declared() -> tuple[Metric, ...]:
    """All metrics that this process knows, ours first."""
    return tuple(_METRICS.values())


def find(name: str) -> Metric:
    """Raises BadMetric, with what is near, if no such metric is declared here."""
    if name not in _METRICS:
        near = difflib.get_close_matches(name, _METRICS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_METRICS)}."
        raise BadMetric(f"there is no metric {name!r:.80}: {hint}")
    return _METRICS[name]


def _ours(*metrics: Metric) -> None:
    _METRICS.update({metric.name: metric for metric in metrics})


_ours(
    Metric("jobs.done", "values", "Jobs done, and how long they ran", "s"),
    Metric("jobs.failed", "count", "Jobs failed for good"),
    Metric("jobs.cancelled", "count", "Jobs cancelled"),
    Metric("jobs.wait", "values", "How long jobs waited after they were due", "s"),
    Metric("refreshes.done", "count", "Tokens refreshed"),
    Metric("refreshes.failed", "count", "Refreshes that failed"),
    Metric("integrations.uptime", "share", "Integrations healthy, of the time that is known"),
    Metric("files.indexed", "count", "Files indexed"),
    Metric("files.failed", "count", "Files that could not be indexed"),
    Metric("notifications.sent", "count", "Notifications sent"),
    Metric("notifications.failed", "count", "Notifications given up"),
)
