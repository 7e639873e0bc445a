"""What a worker process shows of itself, and what Prometheus makes of several."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from urllib.request import ProxyHandler, build_opener

import pytest
from tests.cli.program import SOON, Program, end, read_until
from tests.cli.shop import Shop
from tests.cli.test_cli_extras import without
from tests.services import start

from lamplighter.testing.servers import PrometheusServer, private_prometheus

_open = build_opener(ProxyHandler({})).open


def worker(cli: Program, *args: str) -> tuple[subprocess.Popen[str], str]:
    """A worker, and where its metrics are."""
    process = cli.start("work", "shop:app", "--metrics-port", "0", *args)
    found = re.search(r"http://(\S+)/metrics", read_until(process, "Metrics are at"))
    assert found is not None
    return process, found.group(1)


def scraped(at: str) -> str:
    with _open(f"http://{at}/metrics", timeout=SOON) as answer:
        return str(answer.read().decode())


async def test_prometheus_adds_up_what_two_workers_did(cli: Program, shop: Shop) -> None:
    workers = [worker(cli), worker(cli)]
    with ExitStack() as stack:
        prometheus = start(stack, private_prometheus([at for _, at in workers]))
        handles = await shop.app.enqueue(shop.greet.draft(f"guest {n}") for n in range(300))
        await shop.charge.enqueue("4111")
        for handle in handles:
            await handle.result(timeout=SOON)
        done = 'sum(lamplighter_job_attempts_total{name="greet", outcome="done"})'
        assert await_value(prometheus, done, 300) == 300
        failed = 'sum by (queue) (lamplighter_job_attempts_total{outcome="failed"})'
        assert await_value(prometheus, failed, 1) == 1
        assert await_value(prometheus, 'sum(lamplighter_job_run_seconds_count{name="greet"})', 300) == 300
        assert await_value(prometheus, "sum(lamplighter_worker_slots)", 200) == 200
        assert await_value(prometheus, "sum(up)", 2) == 2
    for process, _ in workers:
        process.send_signal(signal.SIGTERM)
        assert end(process).code == 0


def await_value(prometheus: PrometheusServer, query: str, wanted: float) -> float | None:
    """What the query finds, as soon as that is wanted: a scrape comes every second."""
    deadline, found = time.monotonic() + SOON, None
    while time.monotonic() < deadline:
        found = next(iter(prometheus.ask(query).values()), None)
        if found == wanted:
            break
        time.sleep(0.1)
    return found


async def test_metrics_are_those_of_this_process_and_of_its_machine(cli: Program, shop: Shop) -> None:
    process, at = worker(cli)
    for name in ("Ada", "Bea"):  # the first is counted before the second is durable
        await (await shop.greet.enqueue(name)).result(timeout=SOON)
    text = scraped(at)
    assert 'lamplighter_job_attempts_total{name="greet",outcome="done",queue="default"}' in text
    assert 'lamplighter_store_operation_seconds_count{operation="claim"}' in text
    assert "process_resident_memory_bytes" in text
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0


def test_a_port_that_is_taken_is_one_sentence(cli: Program, shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = cli("work", "shop:app", "--metrics-port", port)
    assert (answer.code, answer.sentence) == (
        2,
        f"metrics cannot be shown on 127.0.0.1 port {port} (Address already in use): choose another.",
    )


def test_without_the_extra_it_says_what_to_install(cli: Program, shop: Shop) -> None:
    answer = cli("work", "shop:app", "--metrics-port", "0", environ=without(cli, ["prometheus_client"]))
    assert answer.code == 2
    assert answer.sentence == "--metrics-port needs prometheus_client: run `pip install 'lamplighter[metrics]'`."


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_listens_where_it_is_told_to(cli: Program, shop: Shop, host: str) -> None:
    process, at = worker(cli, "--metrics-host", host)
    assert at.startswith("[::1]:" if host == "::1" else "127.0.0.1:")
    assert "lamplighter_worker_slots" in scraped(at)
    read_until(process, "Working on")
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0
