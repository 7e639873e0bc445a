"""The types of the public face: what is right type-checks, and what is wrong does not.

mypy reads this file with every other: an error that is expected is named in `type: ignore[...]`, and one that does not
come is an error itself (warn_unused_ignores). Nothing here runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, assert_type

from lamplighter import App, Ctx, Handle, Priority, Retry, Snooze, exponential
from lamplighter.app import AsyncJob, SyncJob


class Services:
    bucket: str = "lamps"


if TYPE_CHECKING:
    app = App("memory://", deps=Services())
    assert_type(app, App[Services])
    assert_type(App("memory://"), App[None])

    @app.job(queue="tokens", timeout=30, retry=exponential(attempts=3), unique="refresh:{integration_id}")
    async def refresh(ctx: Ctx[Services], integration_id: str, *, force: bool = False) -> datetime:
        assert_type(ctx.deps, Services)
        return datetime.now(UTC)

    @app.job()
    def index(ctx: Ctx[Services], files: list[str]) -> int:
        raise Retry(after=timedelta(minutes=1)) if files else Snooze(timedelta(minutes=1))

    @app.job(queu="tokens")  # type: ignore[call-arg]
    async def misspelt(ctx: Ctx[Services]) -> None: ...

    @app.job()  # type: ignore[arg-type]
    async def of_another_app(ctx: Ctx[int]) -> None: ...

    async def right() -> None:
        assert_type(refresh, AsyncJob[Services, [str, bool], datetime])  # type: ignore[assert-type]  # force is by name
        assert_type(index, SyncJob[Services, [list[str]], int])  # type: ignore[assert-type]  # files has a name
        assert_type(await refresh.enqueue("i-42", force=True), Handle[datetime])
        assert_type(await (await refresh.enqueue("i-42")).result(timeout=10), datetime)
        assert_type(await (await index.enqueue(files=["a"])).result(), int)
        assert_type(await app.enqueue(index.draft([str(n)]) for n in range(3)), list[Handle[int]])
        assert_type(await refresh(Ctx(Services()), "i-42"), datetime)
        assert_type(index(Ctx(Services()), ["a"]), int)
        options = refresh.using(delay=timedelta(minutes=5), priority=Priority.HIGH, tenant="t-1")
        assert_type(await options.enqueue("i-42"), Handle[datetime])
        app.cron("0 3 * * *", index.draft(["a"]), tz="Europe/Berlin", misfire="skip")
        app.every(timedelta(hours=1), refresh.draft("i-42"))

    async def wrong() -> None:
        await refresh.enqueue(42)  # type: ignore[arg-type]
        await refresh.enqueue()  # type: ignore[call-arg]
        await refresh.enqueue("i-42", forced=True)  # type: ignore[call-arg]
        await refresh.enqueue("i-42", True)  # type: ignore[call-arg]
        index.draft("a")  # type: ignore[arg-type]
        refresh.using(priorty=1)  # type: ignore[call-arg]
        refresh.using(delay="5m")  # type: ignore[arg-type]
        refresh.using(unique_mode="forever")  # type: ignore[arg-type]
        await app.enqueue([refresh])  # type: ignore[arg-type]
        app.cron("0 3 * * *", refresh)  # type: ignore[arg-type]
        app.cron("0 3 * * *", refresh.draft("i-42"), misfire="never")  # type: ignore[arg-type]
        await refresh(Ctx(7), "i-42")  # type: ignore[arg-type]
