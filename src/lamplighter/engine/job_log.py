"""What one attempt logs with `ctx.log`: to the process's log at once, and kept with the job by and by."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.log_line import LogLevel, LogLine
from lamplighter.engine.outcome import message_of, storable

LINES_KEPT = 500  # where nobody says otherwise
LONGEST = 1000  # bytes of a message, and of the fields beside it
LONGEST_VALUE = 100  # characters of a field, where all of them together are too long

_log = logging.getLogger("lamplighter.jobs")
_NUMBERS: Mapping[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Log:
    """The lines of one attempt: `ctx.log.info("indexed", files=12)`. Any thread may log.

    The last `keep` wait here until the store has them: who logs more than that takes no more memory.
    """

    def __init__(self, keep: int = LINES_KEPT, clock: Clock = utcnow) -> None:
        self.keep = keep
        self._clock = clock
        self._door = threading.Lock()
        self._waiting: deque[LogLine] = deque(maxlen=keep)
        self._logged = 0

    def debug(self, message: str, *args: object, **fields: object) -> None:
        """See `info`."""
        self._add("debug", message, args, fields)

    def info(self, message: str, *args: object, **fields: object) -> None:
        """Log a message (`args` fill it as in `logging`), with fields that programs can read.

        What is kept with the job is cut where it is longer than 1000 bytes. A `Secret` shows as such.
        """
        self._add("info", message, args, fields)

    def warning(self, message: str, *args: object, **fields: object) -> None:
        """See `info`."""
        self._add("warning", message, args, fields)

    def error(self, message: str, *args: object, **fields: object) -> None:
        """See `info`."""
        self._add("error", message, args, fields)

    def exception(self, message: str, *args: object, **fields: object) -> None:
        """`error`, where an exception is handled: the job keeps its type and text, the process's log its traceback."""
        error = sys.exc_info()[1]
        if error is not None:
            fields.setdefault("error", f"{type(error).__qualname__}: {message_of(error)}")
        self._add("error", message, args, fields, error)

    @property
    def has_lines(self) -> bool:
        """Whether lines wait."""
        return bool(self._waiting)

    def waiting(self) -> list[LogLine]:
        """The lines that the store does not have yet."""
        with self._door:
            return list(self._waiting)

    def told(self, upto: int) -> None:
        """The lines up to that number need not wait any longer."""
        with self._door:
            while self._waiting and self._waiting[0].n <= upto:
                self._waiting.popleft()

    def take_over(self, lines: Iterable[LogLine]) -> None:
        """Have lines wait that were logged in the process of the handler."""
        with self._door:
            self._waiting.extend(lines)

    def _add(
        self,
        level: LogLevel,
        message: str,
        args: tuple[object, ...],
        fields: Mapping[str, object],
        error: BaseException | None = None,
    ) -> None:
        if _log.isEnabledFor(_NUMBERS[level]):
            _log.log(_NUMBERS[level], message, *args, exc_info=error, extra={"fields": fields}, stacklevel=3)
        text, packed, at = _cut(_filled(message, args)), _packed(fields), self._clock()
        with self._door:
            self._logged += 1
            self._waiting.append(LogLine(n=self._logged, at=at, level=level, message=text, fields=packed))


def _filled(message: str, args: tuple[object, ...]) -> str:
    try:
        return str(message) % args if args else str(message)
    except (TypeError, ValueError):  # a mistake in what is logged must not end a job
        return f"{message} {_shown(args)}"


def _cut(text: str) -> str:
    data = storable(text).encode()
    return data.decode() if len(data) <= LONGEST else f"{data[: LONGEST - 3].decode(errors='ignore')}…"


def _packed(fields: Mapping[str, object]) -> str:
    """As JSON; of fields that are too long, what there is room for."""
    if not fields:
        return "{}"
    text = _json(fields)
    if text is None or len(text) > LONGEST:
        text = _json({_shown(name)[:LONGEST_VALUE]: _shown(value)[:LONGEST_VALUE] for name, value in fields.items()})
    return "{}" if text is None or len(text) > LONGEST else text.decode()


def _json(fields: Mapping[str, object]) -> bytes | None:
    try:
        return msgspec.json.encode(fields, enc_hook=_shown)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _shown(value: Any) -> str:
    """Whatever it is, which JSON need not know. A `Secret` knows how to be shown."""
    try:
        return storable(value if isinstance(value, str) else repr(value))
    except Exception:  # noqa: BLE001 - it is the user's
        return f"({type(value).__name__})"
