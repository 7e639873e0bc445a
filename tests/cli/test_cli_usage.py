"""The program's manners: help, mistypings, terminals, pipes, and what it costs to import."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from tests.cli.program import PROGRAM, SOON, Program, environment
from tests.cli.shop import Shop

NOUNS = (
    "jobs",
    "queues",
    "limits",
    "tenants",
    "crons",
    "workers",
    "integrations",
    "files",
    "analytics",
    "audit",
    "upkeep",
    "alerts",
    "notify",
)
GROUPS = (*NOUNS, "keys", "admin", "bench")
STATES = ("held", "scheduled", "queued", "running", "done", "failed", "cancelled")
SQLITE = "did you mean sqlite://?): use memory://, sqlite:///path/to/file.db, postgresql://host/database or redis://host:6379/0"
OF_JOBS = ("list", "show", "retry", "cancel", "dead", "why", "move")
COMMANDS = (
    *("up", "work", "web", "doctor", *NOUNS, "keys", "admin", "config"),
    *("migrate", "bench", "verify", "simulate", "version"),
)


def test_help_groups_every_command_and_cuts_no_sentence_short(cli: Program) -> None:
    told = cli("--help", environ={"COLUMNS": "80"})
    assert told.code == 0
    assert "..." not in told.out.partition("COMMAND [ARGS]...")[2]
    assert [line for line in told.out.splitlines() if line.endswith(":")] == [
        "Options:",
        "Run:",
        "Look and mend:",
        "Set up:",
    ]
    listed = [line.split()[0] for line in told.out.partition("Run:")[2].splitlines() if line.startswith("  ")]
    assert tuple(listed) == COMMANDS
    assert all(len(line) <= 80 for line in told.out.splitlines())
    assert cli().out == cli("-h").out == cli("--help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Program, command: str) -> None:
    told = cli(command, "--help", environ={"COLUMNS": "80"})
    assert told.code == 0
    assert told.out.startswith(f"Usage: lamplighter {command} ")
    if command in GROUPS:
        assert "..." not in told.out.partition("COMMAND [ARGS]...")[2]
    else:
        assert "--json" in told.out


def test_help_tells_the_exit_codes(cli: Program) -> None:
    told = " ".join(cli("--help").out.split())
    assert "0 done, 1 it ran but the outcome is not good, 2 wrong usage or configuration, 3 the store" in told


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("jbos", "lamplighter has no command 'jbos': did you mean 'jobs'?"),
        ("jobs lst", "lamplighter jobs has no command 'lst': did you mean 'list'?"),
        (
            "jobs purge",
            (
                "lamplighter jobs has no command 'purge': there are "
                "list, show, retry, cancel, delete, dead, logs, why, move."
            ),
        ),
        ("jobs list --qeue money", "there is no option --qeue: did you mean --queue?"),
        ("jobs --sate done", "there is no option --sate: did you mean --state?"),
        ("work --zzz", "there is no option --zzz: see `lamplighter work --help`."),
        ("jobs list --limit many", "--limit is not usable: give a number from 1 to 100,000."),
        ("jobs list --limit 0", "--limit is not usable: give a number from 1 to 100,000."),
        ("up --for ever", "--for is not usable: give a number from 1 to 86,400."),
        ("jobs --state asleep", f"--state is not usable: 'asleep' is not one of {', '.join(map(repr, STATES))}."),
        ("jobs show", "Missing argument 'ID': see `lamplighter jobs show --help`."),
        ("jobs show a b", "Got unexpected extra argument(s) (b): see `lamplighter jobs show --help`."),
        (
            "integrations --status gone",
            "there is no status 'gone': give one of pending, active, expired, revoked, error.",
        ),
        ("jobs --store jobs.db", "store is not usable (flag --store): give a URL such as sqlite:///lamplighter.db."),
        (
            "jobs --store sqlite://",
            "the store URL names no file: write sqlite:///relative.db or sqlite:////absolute/path.db.",
        ),
        ("jobs --store sqlit:///a.db", f"the store URL sqlit:// has no store behind it ({SQLITE}."),
        (
            "jobs --store memory://",
            "memory:// ends with its process, so there is nothing to see: name a store with --store.",
        ),
    ],
)
def test_a_mistake_is_answered_with_one_sentence_and_code_2(cli: Program, line: str, sentence: str) -> None:
    answer = cli(*line.split(), "--json")
    assert (answer.code, answer.sentence) == (2, sentence)
    assert answer.json == {"error": sentence}
    assert list(cli.folder.iterdir()) == []


def test_a_missing_value_is_one_sentence_too(cli: Program) -> None:
    answer = cli("jobs", "list", "--limit")
    assert answer.code == 2
    assert answer.sentence.startswith("Option '--limit' requires an argument")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lamplighter jo", "jobs"),
        ("lamplighter jobs c", "cancel"),
        ("lamplighter jobs list --st", "--state"),
        ("lamplighter jobs list --state ru", "running"),
    ],
)
def test_the_shell_completes_what_is_typed(cli: Program, typed: str, offered: str) -> None:
    answer = cli(
        environ={
            "_LAMPLIGHTER_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
    )
    assert offered in answer.out.split()


def test_the_script_for_completion_is_shown() -> None:
    ended = subprocess.run(
        ["bash", "-c", f"'{PROGRAM}' --show-completion; exit $?"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SOON,
        check=True,
    )
    assert "_LAMPLIGHTER_COMPLETE=complete_bash" in ended.stdout


async def test_a_reader_who_has_seen_enough_is_no_error(cli: Program, shop: Shop) -> None:
    await shop.app.enqueue(shop.greet.draft("x" * 60) for _ in range(2000))
    program = cli.start("jobs", "--limit", "2000")
    assert program.stdout is not None
    assert program.stderr is not None
    assert program.stdout.readline().startswith("id")
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == ""
    assert program.wait(timeout=SOON) == 0


async def test_what_ascii_cannot_show_is_escaped_and_json_stays_json(cli: Program, shop: Shop) -> None:
    failed = await shop.charge.enqueue("4111")
    await shop.app.work(until_idle=True)
    told = cli("jobs", "show", failed.id, environ={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (told.code, told.err) == (0, "")
    assert "the caf\\xe9's card" in told.out
    answer = cli("jobs", "show", failed.id, "--json", environ={"PYTHONIOENCODING": "ascii"})
    assert answer.json["attempts_failed"][0]["message"] == "the café's card is declined"


def test_a_home_is_not_needed(cli: Program) -> None:
    ended = subprocess.run(
        [PROGRAM, "config"], cwd=cli.folder, env={}, capture_output=True, text=True, timeout=SOON, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("width", "first"), [(120, "id "), (40, "id     ")])
async def test_a_table_that_does_not_fit_is_told_line_by_line(cli: Program, shop: Shop, width: int, first: str) -> None:
    handle = await shop.greet.using(tenant="[bold]copper-bakery").enqueue("Ada")
    lines = seen_in_a_terminal(cli, width, "jobs")
    assert lines[0].startswith(first)
    whole = "\n".join(lines)
    assert handle.id in whole
    assert "[bold]copper-bakery" in whole
    assert all(len(line) <= max(width, 45) for line in lines)


def seen_in_a_terminal(cli: Program, width: int, *args: str) -> list[str]:
    """Lines without colours, as a terminal of that width shows them."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    environ = environment() | {"TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen([PROGRAM, *args], cwd=cli.folder, env=environ, stdout=theirs, stderr=theirs)
    os.close(theirs)
    data = b""
    while True:
        try:
            data += (some := os.read(ours, 65_536))
        except OSError:  # Linux says so when the other side is closed
            break
        if not some:
            break
    os.close(ours)
    assert process.wait(timeout=SOON) == 0
    text = data.decode().replace("\x1b[1m", "").replace("\x1b[0m", "")
    return [line.rstrip() for line in text.splitlines()]


def test_importing_lamplighter_brings_in_nothing_heavy() -> None:
    heavy = {"rich", "typer", "pydantic", "sqlalchemy", "httpx2", "cryptography", "starlette", "uvicorn", "uvloop"}
    code = f"import sys, lamplighter; sys.exit(', '.join({heavy!r} & set(sys.modules)) or 0)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON, check=False)
    assert ended.stderr == ""
