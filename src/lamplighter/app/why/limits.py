"""What its limits are in the way: slots that are taken, a pace, a penalty, or a breaker that is open."""

from __future__ import annotations

from shlex import quote
from typing import Literal

from lamplighter.app.why.blocker import LimitShut
from lamplighter.app.why.sight import Sight, is_full
from lamplighter.app.why.telling import named, rough
from lamplighter.core.flow_control import GateView

_Because = Literal["running", "rate", "breaker"]


def shut(sight: Sight) -> list[LimitShut]:
    """Each of its limits that lets nobody through now."""
    return [found for gate in sight.gates if (found := _shut(sight, gate))]


def _shut(sight: Sight, gate: GateView) -> LimitShut | None:
    if gate.state == "closed" and not is_full(gate) and gate.opens_at is None:
        return None
    if gate.state == "half-open" and gate.opens_at is None and not gate.running:
        return None  # nobody tries it yet: this job may
    opens_in = None if gate.opens_at is None else max(0.0, (gate.opens_at - sight.now).total_seconds())
    holders = sight.holders.get(gate.key, ())
    because, says = _because(gate, opens_in, holders)
    return LimitShut(
        key=gate.key,
        because=because,
        opens_in=opens_in,
        running=gate.running,
        most=gate.rule.running,
        holders=holders,
        waiting=gate.waiting,
        state=gate.state,
        held=gate.held,
        says=f"{says} ({gate.waiting:,} wait for it)." if gate.waiting > 1 else f"{says}.",
    )


def _because(gate: GateView, opens_in: float | None, holders: tuple[str, ...]) -> tuple[_Because, str]:
    close = f"`lamplighter limits close {quote(gate.key)}` lets jobs through"
    if gate.held:
        return "breaker", f"an operator holds the breaker of {gate.key} open: {close}"
    if gate.state == "open":
        when = rough(opens_in or 0)
        return "breaker", f"the breaker of {gate.key} is open, and one job tries in {when}: wait, or {close} now"
    if gate.state == "half-open":
        return "breaker", f"the breaker of {gate.key} is half-open, and one job is trying: wait for its outcome"
    if is_full(gate):
        by = f", by {named(holders)}" if holders else ""
        slots = "the one slot" if gate.rule.running == 1 else f"all {gate.rule.running:,} slots"
        are = "is" if gate.rule.running == 1 else "are"
        return "running", f"{slots} of {gate.key} {are} taken{by}: wait until one ends"
    return "rate", f"{gate.key} lets the next one go in {rough(opens_in or 0)}: wait, or raise its rate"
