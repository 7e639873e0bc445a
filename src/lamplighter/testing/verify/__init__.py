"""Guarantees to run against a store: a workload under faults, judged by what was written down outside the store.

report = await verify(Plan(store="sqlite", jobs=2000, seed=7), say=print)
assert not report.broken
"""

from __future__ import annotations

from lamplighter.testing.verify.plan import Plan
from lamplighter.testing.verify.report import Report
from lamplighter.testing.verify.run import verify

__all__ = ["Plan", "Report", "verify"]
