"""Why a tenant is not connected after all.

LamplighterError
└── ConnectError       `return_to`: where the person was going, if that is known
    ├── ConnectRefused     what came back does not belong to a request of this browser
    ├── ConnectDenied      the person, or their administrator, said no
    └── ConnectFailed      the provider gave no tokens
"""

from __future__ import annotations

from lamplighter.core.errors import LamplighterError


class ConnectError(LamplighterError):
    """Nothing was connected, and whatever was connected before stays."""

    def __init__(self, text: str, return_to: str | None = None) -> None:
        super().__init__(text)
        self.return_to = return_to


class ConnectRefused(ConnectError):
    """An answer that nobody here is waiting for."""


class ConnectDenied(ConnectError):
    """A no."""


class ConnectFailed(ConnectError):
    """The provider's fault, or that of our own set-up."""
