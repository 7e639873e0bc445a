"""The Grafana dashboard, a panel for each metric of the registry: `python -m tests.observe.grafana` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from tests.observe.metric_rows import EVERYTHING

import lamplighter
from lamplighter.observe import families
from lamplighter.observe.meter import Meter

SHIPPED = Path(lamplighter.__file__).parent / "observe/prometheus"
DASHBOARD = SHIPPED / "dashboard.json"
WIDTH, HEIGHT, ACROSS = 8, 7, 3  # of a panel, in Grafana's units, and how many stand side by side
UNITS = {"seconds": "s"}
SOURCE = {"type": "prometheus", "uid": "${source}"}


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


def dashboard() -> dict[str, Any]:
    """What the store shows first, for that is what one looks for."""
    return {
        "title": "Lamplighter",
        "uid": "lamplighter",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    top, number = 0, 1
    for title, metrics, is_shared in (
        ("What the store shows", families.of_store(EVERYTHING), True),
        ("What processes did", families.of_process(Meter(tenants=1)), False),
    ):
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        yield {"id": number, "gridPos": {"x": 0, "y": top, "w": WIDTH * ACROSS, "h": 1}, **row}
        place = 0
        for place, metric in enumerate(metrics):
            across, down = place % ACROSS, place // ACROSS
            at = {"x": across * WIDTH, "y": top + 1 + down * HEIGHT, "w": WIDTH, "h": HEIGHT}
            yield {"id": number + 1 + place, "gridPos": at, **_panel(metric, is_shared=is_shared)}
        top, number = top + 1 + (place // ACROSS + 1) * HEIGHT, number + 2 + place


def _panel(metric: Metric, *, is_shared: bool) -> dict[str, Any]:
    queries = list(_queries(metric, is_shared=is_shared))
    unit = next((unit for ending, unit in UNITS.items() if metric.name.endswith(ending)), "short")
    return {
        "type": "timeseries",
        "title": metric.name.removeprefix("lamplighter_").replace("_", " "),
        "description": metric.documentation,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": "ops" if metric.type == "counter" else unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for n, (expr, legend) in enumerate(queries)
        ],
    }


def _queries(metric: Metric, *, is_shared: bool) -> Iterator[tuple[str, str]]:
    """Every web process shows the same of the store, so one counts; what processes did adds up."""
    labels: Iterable[str] = metric._labelnames  # type: ignore[attr-defined]
    by, legend = ", ".join(labels), " ".join(f"{{{{{label}}}}}" for label in labels) or "all"
    match metric.type:
        case "counter":
            yield f"sum by ({by}) (rate({metric.name}_total[$__rate_interval]))", legend
        case "histogram":
            among = ", ".join(("le", *labels))
            for share in (0.5, 0.95):
                rate = f"sum by ({among}) (rate({metric.name}_bucket[$__rate_interval]))"
                yield f"histogram_quantile({share}, {rate})", f"p{100 * share:.0f} {legend}"
        case _:
            yield f"{'max' if is_shared else 'sum'} by ({by}) ({metric.name})", legend


if __name__ == "__main__":
    DASHBOARD.write_text(text())
