"""What refreshes come to, counted by provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lamplighter.integrations.oauth import BadAnswer, GrantRevoked, OperatorFault, ProviderDown
from lamplighter.integrations.refreshing.outcome import Busy, Gone, Shut, Wait
from lamplighter.observe.meter import Meter

_OUTCOMES: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
    (Busy, "busy"),
    (Shut, "shut"),
    (Wait, "waited"),
    (Gone, "gone"),
    (GrantRevoked, "revoked"),
    (ProviderDown, "down"),
    (OperatorFault, "misconfigured"),
    (BadAnswer, "bad_answer"),
)


@contextmanager
def counted(meter: Meter, provider: str) -> Iterator[Callable[[str], None]]:
    """Count one refresh: by what it is told, or by the error that it ends with."""

    def tell(outcome: str) -> None:
        meter.refreshed(provider, outcome)

    try:
        yield tell
    except Exception as error:
        tell(next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "error"))
        raise
