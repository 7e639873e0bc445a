"""Why somebody is not signed in after all."""

from __future__ import annotations

from lamplighter.core.errors import LamplighterError


class NotSignedIn(LamplighterError):
    """A sentence for the person before the browser, and the status of the page that shows it."""

    def __init__(self, text: str, status: int = 403) -> None:
        super().__init__(text)
        self.status = status
