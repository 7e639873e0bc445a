"""The names of all that can be wrong, and what was found under each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

from msgspec import Struct

Severity: TypeAlias = Literal["critical", "warning"]
State: TypeAlias = Literal["well", "wrong", "unknown"]

ALERTS: Mapping[str, Severity] = MappingProxyType(
    {
        "store-trouble": "critical",
        "no-worker": "critical",
        "tokens-about-to-lapse": "critical",
        "disk-nearly-full": "critical",
        "audit-chain-broken": "critical",
        "breaker-open": "warning",
        "refreshes-failing": "warning",
        "oldest-waiting": "warning",
        "late": "warning",
        "jobs-failing": "warning",
        "dead-jobs": "warning",
        "cron-missed": "warning",
        "audit-archive-failing": "warning",
    }
)
"""What alerts and runbooks are called, the worst first, and how bad each is."""

SETUP: Mapping[str, Severity] = MappingProxyType(
    {
        "schema": "critical",
        "keys": "critical",
        "server": "warning",
        "clock": "warning",
        "permissions": "warning",
        "mail": "warning",
        "api-keys": "warning",
    }
)
"""What is right or wrong from the day of the installation on: docs/runbooks/set-up.md."""

SEVERITY: Mapping[str, Severity] = MappingProxyType({**ALERTS, **SETUP})


class Checked(Struct, frozen=True, kw_only=True):
    """One check. `says`: a sentence for each thing that is wrong; unknown: it could not be looked at."""

    name: str
    severity: Severity
    state: State
    says: Sequence[str] = ()


class Findings:
    """What was found so far. A check that nobody told of was not looked at."""

    def __init__(self) -> None:
        self._says: dict[str, list[str]] = {}

    def tell(self, name: str, says: Iterable[str]) -> None:
        """It was looked at, and this is wrong: often nothing."""
        assert name in SEVERITY, name
        known = self._says.setdefault(name, [])
        known += [sentence for sentence in says if sentence not in known]

    def is_wrong(self, name: str) -> bool:
        """Whether something was found there."""
        return bool(self._says.get(name))

    def all(self) -> list[Checked]:
        """Every check, the worst names first."""
        return [
            Checked(name=name, severity=severity, state=self._state(name), says=tuple(self._says.get(name, ())))
            for name, severity in SEVERITY.items()
        ]

    def _state(self, name: str) -> State:
        if name not in self._says:
            return "unknown"
        return "wrong" if self._says[name] else "well"
