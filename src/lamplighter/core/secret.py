"""Text that must not be seen by accident: in a log line, a traceback, a repr or a JSON answer."""

from __future__ import annotations

import hmac
import re

REDACTED = "[REDACTED]"

_USER_PASSWORD = re.compile(r"(?<=://)([^:/?#]*):.*@")  # greedy up to the last @: hide too much rather than too little
_QUERY_PASSWORD = re.compile(r"([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)


class Secret:
    """Wraps a secret so that only `reveal()` gives it.

    Neither a `str` nor a dataclass, because JSON encoders write both: this one they refuse with a TypeError.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself: hand it to what needs it and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))


def redact_url(url: str) -> str:
    """The URL without the passwords in it, fit to be shown."""
    return _QUERY_PASSWORD.sub(rf"\1{REDACTED}", _USER_PASSWORD.sub(rf"\1:{REDACTED}@", url))
