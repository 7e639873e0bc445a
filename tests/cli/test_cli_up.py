from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from pathlib import Path

import httpx2
import psycopg
import pytest
import redis
from tests.cli.program import PROGRAM, SOON, Program, end, environment, read_until

KEYS = ["integrations", "refreshed", "lapsed", "failed", "revoked", "p99_lateness_ms"]
COLUMNS = ["integration", "tenant", "provider", "status", "expires in", "next refresh", "last outcome"]


def test_it_runs_for_so_long_and_tells_what_happened(cli: Program) -> None:
    answer = cli("up", "--for", "6", "--token-lifetime", "4", "--no-faults", "--json")
    told = answer.json
    assert list(told) == KEYS
    assert told["integrations"] == 12
    assert told["refreshed"] > 0
    assert told["failed"] == told["revoked"] == 0
    assert (answer.code, answer.err) == (1 if told["lapsed"] else 0, "")
    assert list(cli.folder.iterdir()) == []


def test_it_says_line_by_line_what_happens_where_nobody_has_a_terminal(cli: Program) -> None:
    show = cli.start("up", "--token-lifetime", "8", "--no-faults")
    dashboard = read_until(show, "The dashboard").split()[-1]
    with httpx2.Client(follow_redirects=True) as browser:
        assert "<h1" in browser.get(dashboard).text
        assert browser.get(dashboard).status_code == 403, "the link is good once"
        assert browser.get(dashboard.partition("/login")[0] + "/integrations").status_code == 200
    assert re.fullmatch(r"The providers are at http://127\.0\.0\.1:\d+\.\n", read_until(show, "The providers"))
    assert "12 integrations of 4 tenants connected. Ctrl-C drains and stops." in read_until(show, "connected")
    assert re.search(r"\S+ \S+: refreshed; expires in \d s, next refresh ", read_until(show, ": refreshed"))
    show.terminate()
    answer = end(show)
    assert answer.code == 0
    assert answer.out.splitlines()[-1].startswith("12 integrations: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_leaves_no_process_behind(cli: Program, number: signal.Signals) -> None:
    show = cli.start("up", "--json")
    world = the_child_of(show)
    show.send_signal(number)
    answer = end(show)
    assert answer.code == 0
    assert list(answer.json) == KEYS
    assert not Path(f"/proc/{world}").exists()


def test_the_world_ends_even_if_it_is_killed(cli: Program) -> None:
    show = cli.start("up")
    read_until(show, "connected")
    watched = os.pidfd_open(the_child_of(show))
    show.kill()
    show.communicate(timeout=SOON)
    assert select.select([watched], [], [], SOON)[0], "the world goes on"
    os.close(watched)


def test_tokens_that_lapse_end_it_with_1(cli: Program) -> None:
    show = cli.start("up", "--token-lifetime", "3", "--no-faults")
    world = read_until(show, "The providers").split()[-1].rstrip(".")
    read_until(show, "connected")
    httpx2.post(f"{world}/_world/outage", json={"provider": "stormy-drive", "seconds": 3600}).raise_for_status()
    read_until(show, "its tokens have lapsed")
    show.terminate()
    answer = end(show)
    assert answer.code == 1
    assert not re.search(r" 0 lapsed", answer.out.splitlines()[-1])


def test_a_terminal_has_a_live_table(cli: Program) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [PROGRAM, "up"], cwd=cli.folder, env=environment() | {"TERM": "xterm"}, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while b"Ctrl-C drains and stops." not in shown:
        shown += os.read(ours, 65_536)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            shown += os.read(ours, 65_536)
        except OSError:  # Linux says so when the other side is closed
            break
    os.close(ours)
    assert process.wait(timeout=SOON) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    heading = next(line for line in text.splitlines() if line.startswith("integration"))
    assert re.split(r"\s{2,}", heading.strip()) == COLUMNS
    assert re.search(r"copper-bakery +harbor-files +active +\d+ s +\d+ s +connected", text)
    assert text.splitlines()[-1].startswith("12 integrations: ")


def test_a_file_that_is_there_already_is_left_alone(cli: Program) -> None:
    (cli.folder / "mine.db").write_text("mine")
    answer = cli("up", "--store", "sqlite:///mine.db", "--json")
    assert (answer.code, answer.sentence) == (2, "mine.db is there already: name a new file, or leave --store out.")
    assert (cli.folder / "mine.db").read_text() == "mine"


def test_a_new_file_keeps_what_happened(cli: Program) -> None:
    assert cli("up", "--store", "sqlite:///new.db", "--for", "1", "--json").code == 0
    assert len(cli("integrations", "--store", "sqlite:///new.db", "--json").json["integrations"]) == 12
    jobs = cli("jobs", "--store", "sqlite:///new.db", "--name", "tokens.refresh", "--json").json["jobs"]
    assert len(jobs) == 12


@pytest.mark.parametrize("place", ["memory://", "postgres_url", "redis_url"])
def test_it_runs_on_any_store_and_leaves_nothing_there(
    cli: Program, request: pytest.FixtureRequest, place: str
) -> None:
    url = place if "://" in place else request.getfixturevalue(place)
    answer = cli("up", "--store", url, "--for", "8", "--token-lifetime", "6", "--no-faults", "--json")
    assert answer.json["integrations"] == 12
    assert answer.json["refreshed"] > 0
    assert answer.json["failed"] == answer.json["revoked"] == 0
    assert (answer.code, answer.err) == (1 if answer.json["lapsed"] else 0, "")
    assert list(cli.folder.iterdir()) == []
    assert left_in(url) == []


def left_in(url: str) -> list[str]:
    """What a demo has left on a server."""
    if url.startswith("postgresql"):
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'lamplighter_demo%'")
            return [row[0] for row in found]
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            return list(map(str, client.scan_iter(match="*lamplighter_demo*")))
    return []


@pytest.mark.parametrize("place", ["postgres_schema_url", "redis_prefix_url"])
def test_what_it_is_told_to_use_must_be_new_and_stays(cli: Program, request: pytest.FixtureRequest, place: str) -> None:
    url = request.getfixturevalue(place)
    assert cli("up", "--store", url, "--for", "1", "--json").code == 0
    assert len(cli("jobs", "--store", url, "--name", "tokens.refresh", "--json").json["jobs"]) == 12
    again = cli("up", "--store", url, "--for", "1", "--json")
    assert again.code == 2
    assert "is in use already: name a new one, or leave " in again.sentence


def test_a_reader_who_has_seen_enough_is_no_error(cli: Program) -> None:
    show = cli.start("up", "--token-lifetime", "3", "--no-faults")
    assert show.stdout is not None
    assert show.stderr is not None
    world = the_child_of(show)
    read_until(show, "connected")
    show.stdout.close()
    with show.stderr:
        assert show.stderr.read() == ""
    assert show.wait(timeout=SOON) == 0
    assert not Path(f"/proc/{world}").exists()


def the_child_of(process: subprocess.Popen[str]) -> int:
    """The process of its world, once there is one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for child in children.read_text().split():
            if b"lamplighter.demo.server" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise AssertionError(f"it ended: {process.communicate()}")
