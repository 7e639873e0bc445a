"""The metrics, in the words of Prometheus: what a process counted, and what the store shows.

Their names, labels and meanings are a face that dashboards and alerts are built on: change none lightly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lamplighter.observe.histogram import BOUNDS, Histogram
from lamplighter.observe.meter import Jobs, Meter
from lamplighter.observe.sight import Integrating, Sight
from lamplighter.observe.tenants import OTHER

Labels = tuple[str, ...]
L = TypeVar("L", bound=Labels)

_EDGES = (*map(str, BOUNDS), "+Inf")


def of_process(meter: Meter) -> Iterator[Metric]:
    """What this process did since it began. Every process has its own: they add up."""
    yield from _of_jobs(dict(meter.snapshot()))
    yield _counter("jobs_rescued", "Jobs taken back from workers that had vanished.", (), {(): meter.rescued})
    yield _gauge("jobs_running", "Jobs that the process runs now.", (), {(): sum(one.running for one in meter.workers)})
    yield _gauge(
        "worker_slots", "Jobs that the process may run at once.", (), {(): sum(w.slots for w in meter.workers)}
    )
    yield _histogram("loop_lag_seconds", "How late the event loop went on with what had its time.", (), {(): meter.lag})
    operations = list(meter.operations.items())
    yield _histogram(
        "store_operation_seconds",
        "How long calls of the store took.",
        ("operation",),
        {(name,): one.took for name, one in operations},
    )
    yield _counter(
        "store_errors",
        "Calls of the store that could not reach it.",
        ("operation",),
        {(name,): one.errors for name, one in operations},
    )
    yield _counter(
        "refreshes",
        "Refreshes of access tokens that were due, by what they came to.",
        ("provider", "outcome"),
        dict(meter.refreshes),
    )
    yield _counter(
        "notifications",
        "Deliveries of messages to people, by what became of them.",
        ("channel", "outcome"),
        dict(meter.notifications),
    )
    yield _counter(
        "measurements_late",
        "Measurements that came too late to be added to all of their hour, and were refused.",
        (),
        {(): meter.late_measurements},
    )
    yield from _of_files(meter)
    yield _counter(
        "audit_records",
        "Records of the audit log that were sealed, archived or destroyed.",
        ("what",),
        dict(meter.audit),
    )
    if meter.tenants.most:
        yield _of_tenants(meter)


def of_store(sight: Sight) -> Iterator[Metric]:
    """What the store shows now. Every web process shows the same: they do not add up."""
    yield _gauge(
        "jobs",
        "Jobs in a queue, by state; of those that have ended, as many as are kept.",
        ("queue", "state"),
        {(one.queue, state): getattr(one, state) for one in sight.stats for state in _STATES},
    )
    yield _gauge(
        "queue_oldest_seconds",
        "How long the job has been due that has waited longest in line; 0 if none waits there.",
        ("queue",),
        {(one.queue,): max(0.0, (sight.now - (one.oldest or sight.now)).total_seconds()) for one in sight.stats},
    )
    yield _gauge(
        "queue_paused", "Whether a queue is paused.", ("queue",), {(one.queue,): int(one.paused) for one in sight.stats}
    )
    yield _gauge("workers", "Workers that are alive.", (), {(): sight.workers})
    yield _gauge(
        "queue_workers",
        "Workers that are alive, take jobs of a queue, and do not stop.",
        ("queue",),
        {(queue,): n for queue, n in sight.serving.items()},
    )
    yield _gauge(
        "cron_overdue_seconds",
        "How long ago a slot of a schedule passed that no worker has looked at; 0 if it is yet to come, or paused.",
        ("name",),
        {(name,): seconds for name, seconds in sight.overdue.items()},
    )
    waiting, shut = Counter[Labels](), Counter[Labels]()
    for gate in sight.gates:
        limit = (gate.key.partition(":")[0],)
        waiting[limit] += gate.waiting
        shut[limit] += gate.state != "closed"
    yield _gauge("limit_waiting", "Jobs that wait for a limit, at all of its keys.", ("limit",), waiting)
    yield _gauge("limit_open_breakers", "Keys of a limit whose breaker is not closed.", ("limit",), shut)
    if sight.alerts is not None:
        yield _gauge("alerts", "Alerts that fire, by rule and severity.", ("name", "severity"), sight.alerts)
    if sight.integrating is not None:
        yield from _of_integrations(sight.integrating)


_STATES = ("held", "scheduled", "queued", "running", "done", "failed", "cancelled")


def _of_jobs(all_: Mapping[Labels, Jobs]) -> Iterator[Metric]:
    labels = ("queue", "name")
    yield _counter(
        "job_attempts",
        "Attempts at jobs that ended, by how: done, failed (for good), retried, snoozed, cancelled, released (by a"
        " worker that stops), lost (with the lease).",
        (*labels, "outcome"),
        {(*key, ended): n for key, jobs in all_.items() for ended, n in jobs.ended.items()},
    )
    histograms: tuple[tuple[str, str, Callable[[Jobs], Histogram]], ...] = (
        ("job_run_seconds", "How long attempts took.", lambda jobs: jobs.took),
        ("job_lateness_seconds", "How long after they were due attempts began.", lambda jobs: jobs.late),
        ("job_wait_seconds", "How long after they were added jobs first began.", lambda jobs: jobs.waited),
    )
    for name, help_, which in histograms:
        yield _histogram(name, help_, labels, {key: which(jobs) for key, jobs in all_.items()})


def _of_files(meter: Meter) -> Iterator[Metric]:
    yield _counter(
        "files",
        "Files of sources that were read, by what became of them: processed, same (the content was known), error.",
        ("outcome",),
        dict(meter.files),
    )
    yield _counter(
        "file_syncs",
        "Looks at sources of files, by kind and by what they came to: changed, unchanged, down, refused.",
        ("kind", "outcome"),
        dict(meter.file_syncs),
    )
    yield _counter("file_bytes", "Bytes of files that were fetched.", (), {(): meter.file_bytes})
    yield _histogram(
        "file_extraction_seconds", "How long it took to find out what a file says.", (), {(): meter.extractions}
    )


def _of_tenants(meter: Meter) -> Metric:
    told = [*meter.tenants.counts.items(), (OTHER, meter.tenants.others)]
    return _counter(
        "tenant_attempts",
        "Attempts that ended, by the tenants with the most, and by how; of all others together as `other`.",
        ("tenant", "outcome"),
        {(tenant, ended): n for tenant, counts in told for ended, n in list(counts.items())},
    )


def _of_integrations(all_: Integrating) -> Iterator[Metric]:
    by_status = {(status,): n for status, n in all_.by_status.items()}
    yield _gauge("integrations", "Integrations, by status.", ("status",), by_status)
    yield _gauge(
        "integration_nearest_expiry_seconds",
        "In how many seconds the first access token of an active integration expires; negative: it has.",
        (),
        {} if all_.expiry is None else {(): all_.expiry},
    )
    yield _gauge(
        "integrations_lapsing",
        "Active integrations whose access token ends within two minutes, or has, and whose refresh is late.",
        ("provider",),
        {(provider,): n for provider, n in all_.lapsing.items()},
    )
    down = {(provider,): int(is_down) for provider, is_down in all_.down.items()}
    yield _gauge(
        "rollup_lag_seconds",
        "For how long something may have happened that no rollup of analytics has.",
        (),
        {} if all_.rollup_lag is None else {(): all_.rollup_lag},
    )
    yield _gauge(
        "audit_broken_chains",
        "Chains of the audit log that are not what was sealed, as far as they were verified.",
        (),
        {(): all_.broken},
    )
    yield _gauge(
        "audit_archive_failing_seconds",
        "For how long a chain of the audit log cannot be archived, at most; 0: all can.",
        (),
        {(): all_.unarchived},
    )
    yield _gauge("provider_down", "Whether a provider is left alone, because it does not answer.", ("provider",), down)


def _counter(name: str, help_: str, labels: Labels, values: Mapping[L, float]) -> Metric:
    family = CounterMetricFamily(f"lamplighter_{name}", help_, labels=labels)
    for those, value in values.items():
        family.add_metric(those, value)
    return family


def _gauge(name: str, help_: str, labels: Labels, values: Mapping[L, float]) -> Metric:
    family = GaugeMetricFamily(f"lamplighter_{name}", help_, labels=labels)
    for those, value in values.items():
        family.add_metric(those, value)
    return family


def _histogram(name: str, help_: str, labels: Labels, values: Mapping[L, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"lamplighter_{name}", help_, labels=labels)
    for those, histogram in values.items():
        family.add_metric(those, list(zip(_EDGES, accumulate(histogram.counts), strict=True)), histogram.sum)
    return family
