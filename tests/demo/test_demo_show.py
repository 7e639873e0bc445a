from __future__ import annotations

from pathlib import Path

import httpx2
import msgspec

from lamplighter.demo.faults import Cue, Fault, Outage, Revocation
from lamplighter.demo.show import Show
from lamplighter.demo.watch import Change, Summary, Watch
from lamplighter.engine.worker import Worker


async def play(show: Show, ending: str, *, times: int = 1, fault: Fault | None = None) -> Summary:
    """Cause the fault once all are connected, and run until so many changes have been told in those words."""
    workers: list[Worker] = []
    left = times

    def started(worker: Worker, world_url: str) -> None:
        workers.append(worker)
        if fault is not None:
            place = "outage" if isinstance(fault, Outage) else "revoke"
            content = msgspec.json.encode(fault)
            httpx2.post(f"{world_url}/_world/{place}", content=content).raise_for_status()

    def seen(_watch: Watch, changes: list[Change]) -> None:
        nonlocal left
        left -= sum(ending in what for _, what in changes)
        if left <= 0:
            workers[0].stop()

    return await show.run(seen, started)


async def test_an_outage_longer_than_a_tokens_life_makes_it_lapse(tmp_path: Path) -> None:
    show = Show(f"sqlite:///{tmp_path}/demo.db", faults=False, token_lifetime=4)
    summary = await play(show, "lapsed", fault=Outage(provider="stormy-drive", seconds=3600))
    assert summary.lapsed >= 1
    assert summary.refreshed >= 1  # the others go on


async def test_a_withdrawn_grant_is_told_and_counted(tmp_path: Path) -> None:
    show = Show(f"sqlite:///{tmp_path}/demo.db", faults=False, token_lifetime=4)
    summary = await play(show, "revoked", fault=Revocation(provider="lantern-drive", user="goran"))
    assert (summary.integrations, summary.revoked, summary.failed) == (12, 1, 0)


async def test_a_script_of_faults_is_played(tmp_path: Path) -> None:
    script = [Cue(5, Outage(provider=slug, seconds=3600)) for slug in ("stormy-drive", "lantern-drive")]
    summary = await play(Show(f"sqlite:///{tmp_path}/demo.db", faults=script, token_lifetime=12), "provider is down")
    assert summary.integrations == 12


async def test_in_an_undisturbed_world_every_token_is_refreshed(tmp_path: Path) -> None:
    show = Show(f"sqlite:///{tmp_path}/demo.db", faults=False, token_lifetime=6)
    summary = await play(show, "refreshed", times=12)
    assert summary.refreshed >= 12
    assert (summary.revoked, summary.failed) == (0, 0)
