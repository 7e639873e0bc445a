"""What a meter has counted since it was last asked: whoever asks takes it, so nobody else writes it down too."""

from __future__ import annotations

from threading import Lock

from lamplighter.observe.history.slot import ALL, Slot, Tally, total
from lamplighter.observe.meter import Jobs, Meter


class Since:
    """For one meter, however many ask."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._before: dict[tuple[str, str], Tally] = {}
        self._lock = Lock()

    def take(self) -> Slot:
        """What came on top; empty if nothing did."""
        new: list[Slot] = []
        with self._lock:
            for key, jobs in self._meter.snapshot():
                now = _tally(jobs)
                came = _less(now, self._before.get(key, Tally()))
                self._before[key] = now
                if came.took:
                    new += [{key[0]: came}, {ALL: came}]
        return total(new)


def _tally(jobs: Jobs) -> Tally:
    ended = jobs.ended
    return Tally(
        ended.get("done", 0),
        ended.get("failed", 0),
        ended.get("retried", 0),
        dict(enumerate(jobs.took.counts)),
        dict(enumerate(jobs.late.counts)),
    )


def _less(now: Tally, before: Tally) -> Tally:
    return Tally(
        now.done - before.done,
        now.failed - before.failed,
        now.retried - before.retried,
        {bucket: n - before.took.get(bucket, 0) for bucket, n in now.took.items() if n > before.took.get(bucket, 0)},
        {bucket: n - before.late.get(bucket, 0) for bucket, n in now.late.items() if n > before.late.get(bucket, 0)},
    )
