"""`lamplighter web`, in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from tests.cli.program import Program, end, read_until
from tests.cli.shop import Shop


@contextmanager
def serving(cli: Program, *args: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its URL and the login link."""
    process = cli.start("web", "shop:app", "--port", "0", "--json", *args)
    try:
        told = json.loads(read_until(process, "port"))
        yield process, f"http://127.0.0.1:{told['port']}", told["login_link"]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


async def test_it_serves_the_app_to_who_has_a_key(cli: Program, shop: Shop) -> None:
    await shop.greet.enqueue("Ada")
    key = cli("keys", "create", "--name", "ops", "--role", "operator", "--json").json["key"]
    with serving(cli) as (process, url, _):
        answer = httpx2.get(f"{url}/api/v1/queues/stats", headers={"Authorization": f"Bearer {key}"})
        assert [queue["queue"] for queue in answer.json()["data"]] == ["default"]
        assert "server" not in answer.headers
        assert httpx2.get(f"{url}/api/v1/queues/stats").status_code == 401
        process.terminate()
        assert end(process).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_0_and_its_logs_have_no_secrets(
    cli: Program, shop: Shop, number: signal.Signals
) -> None:
    with serving(cli) as (process, _, link):
        with httpx2.Client() as browser:
            assert browser.get(link).status_code == 303
            assert browser.get(link).status_code == 403
        process.send_signal(number)
        ended = end(process)
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert link.partition("once=")[2] not in ended.out + ended.err


async def test_a_password_that_was_set_lets_the_admin_in(cli: Program, shop: Shop) -> None:
    password = "a lamp, a ladder and some oil"
    assert cli("admin", "set-password", stdin=f"{password}\n").code == 0
    with serving(cli) as (_, url, _), httpx2.Client(base_url=url) as browser:
        assert browser.post("/admin/queues/login", data={"password": "another one entirely"}).status_code == 403
        assert browser.post("/admin/queues/login", data={"password": password}).status_code == 303
        assert browser.get("/api/v1/queues/stats").status_code == 200
        assert cli("admin", "set-password", stdin="another one entirely\n").code == 0


async def test_people_are_told_where_and_how_to_sign_in(cli: Program, shop: Shop) -> None:
    process = cli.start("web", "shop:app", "--port", "0")
    try:
        assert "Serving sqlite:///" in read_until(process, "Serving")
        assert "/admin/queues/login?once=" in read_until(process, "Sign in")
    finally:
        process.terminate()
        assert end(process).code == 0


async def test_other_machines_are_not_listened_to_where_nobody_could_sign_in(cli: Program, shop: Shop) -> None:
    answer = cli("web", "shop:app", "--host", "0.0.0.0", "--port", "0")
    assert answer.code == 2
    assert answer.sentence.startswith("nobody could sign in from outside, so 0.0.0.0 is not listened on:")


async def test_a_port_that_is_taken_is_said_so(cli: Program, shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = cli("web", "shop:app", "--port", str(taken.getsockname()[1]))
    assert answer.code == 2
    assert "cannot be listened on (Address already in use): name another" in answer.sentence


async def test_an_address_that_is_none_is_said_so(cli: Program, shop: Shop) -> None:
    assert "web_host is" in cli("web", "shop:app", "--host", "a b").sentence
