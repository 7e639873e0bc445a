"""Log lines of a process: to stderr, so that stdout stays for what was asked for."""

from __future__ import annotations

import logging
import sys
import time

from lamplighter.core.config import LogLevel


def set_up_logging(level: LogLevel) -> None:
    """Show the log lines of this package from `level` on, and warnings of all others."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("lamplighter").setLevel(level.upper())
