"""What is wrong, and what to do: the first checks of every runbook, under the names that alerts have."""

from __future__ import annotations

from lamplighter.families.doctor.doctor import More, diagnose
from lamplighter.families.doctor.finding import SEVERITY, Checked, Severity, State

__all__ = ["SEVERITY", "Checked", "More", "Severity", "State", "diagnose"]
