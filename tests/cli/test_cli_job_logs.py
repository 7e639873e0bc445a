from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress

import pytest
from tests.cli.program import Program, end, read_until
from tests.cli.shop import Shop
from tests.engine.waits import until_a_line

from lamplighter import Ctx


async def test_what_a_job_logged_is_shown(cli: Program, shop: Shop) -> None:
    handle = await shop.greet.enqueue("Ada")
    assert cli("jobs", "logs", handle.id).out == "It logged nothing, or that is not kept.\n"
    await shop.app.work(until_idle=True)
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info    #1 greeted name=Ada\n"
    assert re.fullmatch(form, cli("jobs", "logs", handle.id).out)
    [line] = cli("jobs", "logs", handle.id, "--json").json["lines"]
    assert (line["attempt"], line["n"], line["level"], line["message"]) == (1, 1, "info", "greeted")
    assert line["fields"] == {"name": "Ada"}


async def test_a_job_is_followed_until_it_has_ended(cli: Program, shop: Shop) -> None:
    gate = asyncio.Event()

    @shop.app.job()
    async def talk(ctx: Ctx[None]) -> None:
        ctx.log.info("begun")
        await gate.wait()
        ctx.log.info("ended")

    handle = await talk.enqueue()
    async with shop.app.worker():
        await until_a_line(shop.app, handle.id)
        following = cli.start("jobs", "logs", handle.id, "--follow", "--json")
        try:
            assert json.loads(await asyncio.to_thread(read_until, following, "begun"))["message"] == "begun"
            gate.set()
            answer = await asyncio.to_thread(end, following)
        finally:
            with suppress(ProcessLookupError):
                following.kill()
    assert (answer.code, answer.json["message"]) == (0, "ended")


@pytest.mark.parametrize("options", [(), ("--follow",)])
async def test_a_job_that_is_not_there_has_no_log(cli: Program, shop: Shop, options: tuple[str, ...]) -> None:
    answer = cli("jobs", "logs", "none", *options)
    assert answer.code == 1
    assert answer.sentence.startswith("there is no job none, or it is not kept any longer")
