from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lamplighter.core.config import LogLevel

CODE = """
import logging
from lamplighter.observe.log import set_up_logging
set_up_logging({level!r})
set_up_logging({level!r})
for name in ("lamplighter.worker", "somebody.else"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s says %s", name, level)
"""


@pytest.mark.parametrize(
    ("level", "ours"),
    [("debug", ["DEBUG", "INFO", "WARNING", "ERROR"]), ("info", ["INFO", "WARNING", "ERROR"]), ("error", ["ERROR"])],
)
def test_ours_are_shown_from_a_level_on_and_warnings_of_all_others(level: LogLevel, ours: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE.format(level=level)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert [line.split()[1] for line in lines if "lamplighter.worker" in line] == ours
    assert [line.split()[1] for line in lines if "somebody.else" in line] == ["WARNING", "ERROR"]
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ +[\w.]+: [\w.]+ says [a-z]+"
    assert all(re.fullmatch(form, line) for line in lines)
