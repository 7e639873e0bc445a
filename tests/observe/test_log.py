"""What a process shows of what it logs: from which level on, in which form, and never a secret."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.observe import logging_jobs

from lamplighter.core.config import LogLevel

LEVELS = """
import logging, structlog
from lamplighter.observe.log import set_up_logging
set_up_logging({level!r}, "text")
set_up_logging({level!r}, "text")
for name in ("lamplighter.worker", "somebody.else"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s says %s", name, level)
"""
JSON = """
import logging, structlog
from lamplighter import Secret
from lamplighter.observe.log import set_up_logging

set_up_logging("info", "auto", ("shop",))
token = Secret("hunter2")
shop = logging.getLogger("shop.orders")
shop.info("paid %s", 3, extra={"token": token, "by_name": {"ada": token}})
structlog.get_logger("shop.orders").warning("sold", token=token, grants=[token])
try:
    password = "hunter2"
    raise ValueError(f"refused {token}")
except ValueError:
    shop.exception("it failed")
    structlog.get_logger("shop.orders").exception("it failed again")
"""
TALKATIVE = """
import logging
from lamplighter.observe.log import set_up_logging

set_up_logging("debug", {form!r})
for name in ("httpx2", "httpcore2.http11", "hpack.hpack", "urllib3.connectionpool", "sqlalchemy.engine.Engine",
             "aiosqlite", "oauthlib.oauth2", "uvicorn.access"):
    logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger(name).debug("Authorization: Bearer %s", "hunter2")
    logging.getLogger(name).info("POST /token?code=%s", "hunter2")
    logging.getLogger(name).warning("a warning of %s", name)
logging.getLogger("uvicorn.error").warning("a warning of uvicorn")
"""


def lines_of(code: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == ""
    return ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "ours"),
    [("debug", ["debug", "info", "warning", "error"]), ("info", ["info", "warning", "error"]), ("error", ["error"])],
)
def test_ours_are_shown_from_a_level_on_and_warnings_of_all_others(level: LogLevel, ours: list[str]) -> None:
    lines = lines_of(LEVELS.format(level=level))
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \[(\w+) *\] ([\w.]+) says (\w+) *\[([\w.]+)\]"
    read = [found.groups() for line in lines if (found := re.fullmatch(form, line))]
    assert len(read) == len(lines)
    assert [shown for shown, name, _, _ in read if name == "lamplighter.worker"] == ours
    assert [shown for shown, name, _, _ in read if name == "somebody.else"] == ["warning", "error"]


def test_where_nobody_looks_each_line_is_an_object_and_no_secret_is_in_it() -> None:
    lines = lines_of(JSON)
    assert not [line for line in lines if "hunter2" in line]
    paid, sold, failed, again = (json.loads(line) for line in lines)
    assert (paid["event"], paid["level"], paid["logger"]) == ("paid 3", "info", "shop.orders")
    assert paid["timestamp"].endswith("Z")
    assert (paid["token"], paid["by_name"]) == ("[REDACTED]", {"ada": "[REDACTED]"})
    assert (sold["event"], sold["level"], sold["grants"]) == ("sold", "warning", ["[REDACTED]"])
    for one in (failed, again):
        assert one["exception"].endswith("ValueError: refused [REDACTED]")


@pytest.mark.parametrize("form", ["json", "text"])
def test_those_who_log_whole_requests_are_heard_from_a_warning_on(form: str) -> None:
    lines = lines_of(TALKATIVE.format(form=form))
    assert len(lines) == 9
    assert all("a warning of" in line for line in lines)


def test_every_line_of_a_job_tells_which_it_was_whoever_logs_it(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", logging_jobs.__name__],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    lines: list[dict[str, Any]] = [json.loads(line) for line in ended.stderr.splitlines()]
    told = {(line["job"], line["event"]): line for line in lines if "job" in line}
    kinds = ("on_loop", "in_thread", "in_process")
    assert told.keys() == {(kind, event) for kind in kinds for event in ("logging", "structlog", "ctx.log")}
    ids = json.loads(ended.stdout)
    for (kind, event), line in told.items():
        assert {name: line[name] for name in ("job_id", "attempt", "queue", "tenant")} == {
            "job_id": ids[kind],
            "attempt": 1,
            "queue": "slow",
            "tenant": "copper-bakery",
        }
        assert line["worker"] == ids["worker"]
        assert line.get("files") == (None if event == "logging" else 3)
    [outside] = [line for line in lines if line["event"] == "outside"]
    assert "job_id" not in outside
