"""The page about the HTTP API: its host runs, its calls are made with curl, and answered as it says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.web.site import served

from lamplighter import App
from lamplighter.web import http_api
from lamplighter.web.errors import KINDS

PAGE = Path(__file__).parents[2] / "docs/howto/use-the-http-api.md"
HOST = re.compile(r"```python\n(.*?)```", re.DOTALL)
CALL = re.compile(r"```sh\n(.*?)```\n```json\n(.*?)```", re.DOTALL)


def fits(answer: Any, told: Any) -> bool:
    """Whether it is what is told, where "..." is any text."""
    if isinstance(told, dict) and isinstance(answer, dict):
        return told.keys() == answer.keys() and all(fits(answer[key], told[key]) for key in told)
    if isinstance(told, list) and isinstance(answer, list):
        return len(told) == len(answer) and all(map(fits, answer, told))
    return isinstance(answer, str) if told == "..." else bool(answer == told)


async def shell(command: str, environ: dict[str, str]) -> Any:
    """What it prints, which is JSON."""
    ran = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE, env=os.environ | environ)
    printed, _ = await asyncio.wait_for(ran.communicate(), timeout=90)
    return json.loads(printed)


@pytest.mark.skipif(shutil.which("curl") is None and "CI" not in os.environ, reason="NOT TESTED: there is no curl")
async def test_the_calls_on_the_page_are_answered_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "k-1")
    monkeypatch.chdir(tmp_path)
    [host], calls = HOST.findall(PAGE.read_text()), CALL.findall(PAGE.read_text())
    assert len(calls) == 4
    module: dict[str, Any] = {"__name__": "shop"}
    exec(compile(host, "shop.py", "exec", dont_inherit=True), module)
    web = module["web"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {"API": f"http://127.0.0.1:{listener.getsockname()[1]}/lamplighter/api/v1", "NO_PROXY": "*"}
        async with web.router.lifespan_context(web), served(web, listener):
            for command, told in calls:
                answer = await shell(command, environ)
                assert fits(answer, json.loads(told)), answer
                environ["JOB"] = answer["data"].get("id", "")


def test_every_code_about_jobs_is_on_the_page() -> None:
    codes = {kind.code for kind in KINDS.values() if kind.code.startswith(("job/", "action/", "queue/", "validation/"))}
    assert {code for code in codes if f"`{code}`" not in PAGE.read_text()} == set()


def test_every_path_about_jobs_is_on_the_page() -> None:
    async def nobody(_: object) -> None: ...

    paths = http_api(App("memory://"), identify=nobody).openapi()["paths"]
    letters = {"{job_id}": "J", "{action_id}": "A", "{queue}": "Q"}
    for path in paths:
        named = path.removeprefix("/api/v1")
        for name, letter in letters.items():
            named = named.replace(name, letter)
        if named.startswith(("/jobs", "/actions", "/queues")):
            assert (
                named.replace("/queues/Q/resume", ".../resume").replace("J/result", "$JOB/result") in PAGE.read_text()
            )
