"""How long upkeep may go on: until the window closes, or whoever asked for it has had enough."""

from __future__ import annotations

import time


class Turn:
    """Looked at between steps. `seconds`: how long it lasts from now on."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._is_stopped = False

    def stop(self) -> None:
        """It is over now."""
        self._is_stopped = True

    @property
    def left(self) -> float:
        """Seconds; 0 once it is over."""
        return 0.0 if self._is_stopped else max(0.0, self._ends - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left <= 0

    def has_time_for(self, seconds: float) -> bool:
        """Whether something that cannot be interrupted well fits in."""
        return self.left > seconds
