"""Log lines of a process of ours: to stderr, so that stdout stays for what was asked for.

A library leaves logging to its host: all of Lamplighter logs with `logging`, and nothing here is called but by the
command line, or by a host that wants its lines to look alike.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, NamedTuple

from lamplighter.core.config import LogFormat, LogLevel
from lamplighter.observe.fields import add_job_fields

# What these say below a warning has whole requests, headers or parameters in it, and with them tokens. They are bounded
# by name, for whoever makes one of them speak rarely knows.
TALKATIVE = frozenset({
    "aiosmtplib", "aiosqlite", "apprise", "asyncpg", "authlib", "botocore", "google", "h11", "h2", "hpack", "httpcore",
    "httpcore2", "httpx", "httpx2", "msal", "oauthlib", "requests_oauthlib", "sqlalchemy", "urllib3",
})  # fmt: skip
TALKATIVE_PARTS = frozenset({"uvicorn.access"})  # its lines have the queries, and in those are codes


class LogSetUp(NamedTuple):
    """How this process logs; the processes of its jobs do so too."""

    level: LogLevel
    format: LogFormat
    packages: tuple[str, ...]


_in_force: list[LogSetUp] = []


def log_set_up() -> LogSetUp | None:
    """How this process was set up here, if it was."""
    return _in_force[-1] if _in_force else None


def set_up_logging(level: LogLevel = "info", format: LogFormat = "auto", packages: tuple[str, ...] = ()) -> None:  # noqa: A002 - what people look for
    """Show the log lines of Lamplighter and of these packages from `level` on, and warnings of all others, on stderr.

    It takes the place of what was set up before. Each line tells the job that it was logged in. structlog's loggers
    come out alike.

    Args:
        format: `json`, an object a line; `text`, for people; or `auto`, which is text in a terminal.
    """
    import structlog  # noqa: PLC0415 - only who shows log lines needs it

    is_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_holds_no_secret)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _spread_fields, *_described()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendered(as_json=format == "json" or (format == "auto" and not is_terminal), colors=is_terminal),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in ("lamplighter", *packages):
        logging.getLogger(package).setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_described(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    _in_force[:] = [LogSetUp(level, format, packages)]


def _described() -> list[Any]:
    """What every line tells."""
    import structlog  # noqa: PLC0415

    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_job_fields,
    ]


def _rendered(*, as_json: bool, colors: bool) -> list[Any]:
    """Tracebacks are plain: those that structlog makes by itself show the values of variables, tokens among them."""
    import structlog  # noqa: PLC0415

    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=plain)]


def _spread_fields(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001 - as structlog calls it
    """What `ctx.log` was given beside its message."""
    fields = event.pop("fields", None)
    return {**fields, **event} if isinstance(fields, dict) else event


def _holds_no_secret(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING:
        return True
    return record.name.partition(".")[0] not in TALKATIVE and record.name not in TALKATIVE_PARTS
