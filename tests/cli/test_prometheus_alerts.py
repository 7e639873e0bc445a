"""The rules that ship, in a real Prometheus that asks real processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cli.program import SOON, Program, end, read_until
from tests.cli.shop import Shop
from tests.services import start

import lamplighter
from lamplighter.core.errors import JobFailed
from lamplighter.testing.servers import PrometheusServer, private_prometheus

RULES = Path(lamplighter.__file__).parent / "observe/prometheus/rules.yml"
FIRING = 'ALERTS{alertname="no-worker", alertstate="firing"}'


async def test_a_queue_without_a_worker_raises_an_alert_which_a_worker_ends(
    cli: Program, shop: Shop, tmp_path: Path
) -> None:
    key = cli("keys", "create", "--name", "prometheus", "--role", "viewer", "--json").json["key"]
    web = cli.start("web", "shop:app", "--port", "0")
    at = address_of(web)
    with ExitStack() as stack:
        prometheus = start(stack, private_prometheus([], extra=scraping(at, key, in_a_hurry(tmp_path))))
        handle = await shop.charge.enqueue("4111")
        fired = until(prometheus, fires=True)
        assert [json.loads(labels)["queue"] for labels in fired] == ["money"]
        worker = cli.start("work", "shop:app")
        with pytest.raises(JobFailed):
            await handle.result(timeout=SOON)
        until(prometheus, fires=False)
    for process in (worker, web):
        process.send_signal(signal.SIGTERM)
        assert end(process).code == 0


def in_a_hurry(folder: Path) -> Path:
    """The rules as they ship, but for how long something has to last: a second stands for a minute."""
    hasty = folder / "rules.yml"
    hasty.write_text(re.sub(r"for: (\d+)m", r"for: \1s", RULES.read_text()))
    return hasty


def scraping(at: str, key: str, rules: Path) -> str:
    """The rest of the configuration: whom to ask, as whom, and which rules to go by."""
    jobs = [
        {
            "job_name": "lamplighter-web",
            "authorization": {"credentials": key},
            "static_configs": [{"targets": [at]}],
        }
    ]
    return "".join(f"  - {json.dumps(job)}\n" for job in jobs) + f"rule_files: [{json.dumps(str(rules))}]\n"


def address_of(web: subprocess.Popen[str]) -> str:
    """Where it listens."""
    found = re.search(r"http://([\d.]+:\d+)", read_until(web, "http://"))
    assert found is not None
    return found.group(1)


def until(prometheus: PrometheusServer, *, fires: bool) -> dict[str, float]:
    """Which alerts fire, once some do, or none does."""
    deadline = time.monotonic() + SOON
    while bool(firing := prometheus.ask(FIRING)) is not fires:
        assert time.monotonic() < deadline, prometheus.ask("ALERTS or up or lamplighter_jobs")
        time.sleep(0.2)
    return firing
