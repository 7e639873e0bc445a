"""The alert family: whatever process has the app open looks whether something is to be alerted of.

It has no jobs: the first thing to be told of is that no worker is there to run them. See `families.alerting`.
"""

from __future__ import annotations

from typing import Any

from lamplighter.app import App
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.tokens import TokenFamily


class AlertFamily:
    """On one app, beside its token family if it has one: without, nobody is sent anything, and the log says it.

    `lamplighter web` looks also without it; workers, and hosts that mount the API, look with it alone.

    Raises:
        ConfigError: the rules cannot be read.
    """

    def __init__(self, app: App[Any], tokens: TokenFamily | None = None) -> None:
        self.alerting = Alerting(app, tokens)
        app.lifespan(self.alerting.running)
