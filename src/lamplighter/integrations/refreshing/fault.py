"""Points at which a test may kill this process, to see what a crash there leaves behind. For tests only.

`LAMP_FAULT=after-token-response` kills it when a provider's answer is in the journal, but not in the database;
`LAMP_FAULT=after-relay` when jobs of an outbox are in the store, but their rows still in the outbox.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "LAMP_FAULT"
AFTER_TOKEN_RESPONSE = "after-token-response"  # noqa: S105 - a place in the code

AFTER_RELAY = "after-relay"


def reach(point: str) -> None:
    """Die here, without any clean-up, if the environment says so."""
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
