"""Several rounds of all subjects, in turn."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from bench.peers.environments import CannotRun, ready
from bench.peers.figures import Results, Row
from bench.peers.measuring import Plan, measure
from bench.peers.stores import Stores, stores
from bench.peers.subjects import Subject

from lamplighter.cli.progress import Step


def run(subjects: Sequence[Subject], rounds: int, plan: Plan, step: Step) -> Results:
    """So many rounds of all of them that can be installed."""
    rows = {}
    for done, one in enumerate(subjects):
        step(f"setting up {one.key}", done, len(subjects))
        row = Row(key=one.key, label=one.label, store=one.store, setup=one.setup, ours=one.ours)
        rows[one.key] = _set_up(row, one)
    there = [one for one in subjects if rows[one.key].failed is None]
    with stores() as places:
        for number in range(rounds):
            for done, one in enumerate(turns(there, number)):
                step(f"round {number + 1}: {one.key}", number * len(there) + done, rounds * len(there))
                rows[one.key] = _after(rows[one.key], one, places, plan)
    told = {"rounds": float(rounds), **{key: float(value) for key, value in plan._asdict().items()}}
    return Results(measured=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine(), plan=told, rows=list(rows.values()))


def turns(subjects: Sequence[Subject], number: int) -> list[Subject]:
    """In another order in each round, so that nobody is always the first, or always after the same one."""
    first = number * len(subjects) // 3 % max(1, len(subjects))
    turned = [*subjects[first:], *subjects[:first]]
    return turned[::-1] if number % 2 else turned


def _set_up(row: Row, subject: Subject) -> Row:
    try:
        ready(subject.environment)
    except CannotRun as error:
        return msgspec.structs.replace(row, failed=str(error))
    return row


def _after(row: Row, subject: Subject, places: Stores, plan: Plan) -> Row:
    """With one more round, without the figures of what failed in it; so the rounds of all have the same numbers."""
    measured = measure(subject, places, plan)
    return msgspec.structs.replace(
        row,
        rounds=[*row.rounds, measured.figures],
        version=measured.version or row.version,
        failed=measured.failed or row.failed,
    )


def machine() -> dict[str, str]:
    """What figures depend on, besides us."""
    return {
        "": f"{os.cpu_count()} cores ({_processor()})",
        "Python": platform.python_version(),
        "PostgreSQL": _version("postgres", "--version"),
        "Redis": _version("redis-server", "--version"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(*command: str) -> str:
    """The first word of the answer that has a number at its start; a store that is not here has none."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "none"
    words = [word.removeprefix("v=") for word in said.split()]
    return next((word for word in words if word[:1].isdigit()), "unknown")
