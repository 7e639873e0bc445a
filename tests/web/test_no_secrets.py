"""A full run, in which every secret is noted as the vault is given it: and none is seen anywhere that people look."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
from fastapi import Request
from sqlalchemy import update
from tests.cli.program import Program
from tests.families.notifying import settings_of
from tests.families.running import Running, in_file
from tests.integrations.telling import PASSWORD, MailServer, Receiver, mail_server, receiver
from tests.observe.spans import traced

from lamplighter import App
from lamplighter.core.events import Event
from lamplighter.core.model import Where
from lamplighter.demo.catalog import CALLBACK, GRANTS
from lamplighter.demo.client import cause
from lamplighter.demo.faults import Revocation
from lamplighter.demo.settle import settle
from lamplighter.demo.world import World, running_world
from lamplighter.families.health import HealthFamily
from lamplighter.families.notify import NotifyFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.families.upkeep import UpkeepFamily
from lamplighter.integrations.connecting.errors import ConnectError
from lamplighter.integrations.storage.tables import health
from lamplighter.integrations.tenants import Tenant
from lamplighter.integrations.vault import Vault
from lamplighter.web import Caller, Role, http_api

TENANT = "copper-bakery"


class Noted:
    """Every text that went into the vault, by its place, and whatever people could see of the run."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {PASSWORD: "smtp_url"}
        self.seen: dict[str, str] = {}

    def encrypt(self, text: str, place: str) -> None:
        if "/address" not in place:  # people see where a webhook leads
            self.secrets[text] = place

    def see(self, where: str, what: object) -> None:
        self.seen[where] = self.seen.get(where, "") + (what if isinstance(what, str) else repr(what))

    def leaks(self) -> list[tuple[str, str]]:
        """Where which kind of secret is seen."""
        return [
            (where, place)
            for where, text in self.seen.items()
            for secret, place in self.secrets.items()
            if secret in text
        ]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    made, encrypt = Noted(), Vault.encrypt

    def noting(vault: Vault, text: str, place: str) -> str:
        made.encrypt(text, place)
        return encrypt(vault, text, place)

    monkeypatch.setattr(Vault, "encrypt", noting)
    return made


class Lines(logging.Handler):
    """Every log line of the process, with tracebacks, however unimportant."""

    def __init__(self, noted: Noted) -> None:
        super().__init__(logging.DEBUG)
        self._noted = noted
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._noted.see("log", self.format(record) + "\n")


@pytest.fixture
def logged(noted: Noted) -> Iterator[None]:
    root, lines = logging.getLogger(), Lines(noted)
    before = root.level
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(lines)
    root.setLevel(before)


@asynccontextmanager
async def everything(folder: Path, post: MailServer) -> AsyncIterator[Running]:
    """An app with every family."""
    app = App(settings=settings_of(in_file(folder), post.url))
    tokens = TokenFamily(app)
    HealthFamily(app, tokens)
    NotifyFamily(app, tokens)
    UpkeepFamily(app, tokens)
    async with app:
        yield Running(app, tokens)


async def live(it: Running, world: World, noted: Noted, post: MailServer, hook: Receiver) -> None:
    """Connect, refresh, check, revoke, tell, ask by API, disconnect."""
    service = it.tokens.service
    it.app.listen(lambda event: noted.see("event", _text(event)))
    await service.tenants.add([Tenant(id=TENANT, name="Copper Bakery", owner_id="auth|1")])
    await service.recipients.add(TENANT, "email", "ada@shop.example")
    await service.recipients.add(TENANT, "webhook", f"{hook.url}/hook")
    gone, left, asked = await settle(service, world.url, [grant for grant in GRANTS if grant.tenant == TENANT])
    async with it.app.worker(), httpx2.AsyncClient() as http:
        await it.until("done", 6)  # its tokens are short-lived: each was refreshed
        await service.database.write(lambda c: c.execute(update(health).values(due_at=1)).close())
        await it.until("done", 2, name="health.check")
        await cause(http, world.url, Revocation(provider=gone.provider_slug, user="ada"))
        await it.until("cancelled")
        await it.until("done", 2, name="notify.deliver")
        await ask(it, noted, asked.id)
        await refuse(it, noted)
        await service.disconnecting.disconnect(left.id)
    for mail in post.mails:
        noted.see("mail", str(mail))
    for call in hook.calls:
        noted.see("webhook", repr(call))


async def ask(it: Running, noted: Noted, integration: str) -> None:
    """Every answer of the API, but those that are there to give a token."""
    operator = Caller(user_id="auth|3", role=Role.SUPERADMIN, may_read_tokens=True)

    async def identify(_: Request) -> Caller:
        return operator

    api = http_api(it.app, identify=identify, tokens=it.tokens, public_url="http://127.0.0.1:1")
    one = f"/api/v1/tenants/{TENANT}/integrations/{integration}"
    refresh = f"/api/v1/oauth/tenants/{TENANT}/integrations/{integration}/refresh"
    transport = httpx2.ASGITransport(app=api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as http:
        for method, path in (("POST", f"{one}/test"), ("POST", refresh), *(("GET", path) for path in reads(one))):
            answer = await unless_busy(http, method, path)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            noted.see("API", answer.text)
        token = await http.post(f"{one}/access-token", json={})
        assert token.json()["data"]["accessToken"] in noted.secrets
        noted.see("API", (await http.get("/api/v1/audit")).text)


async def unless_busy(http: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    """Asked again for as long as the worker refreshes that short-lived token."""
    while (answer := await http.request(method, path)).status_code == 503:
        assert answer.json()["error"]["code"] == "cloud-integration/busy"
        await asyncio.sleep(0.1)
    return answer


def reads(one: str) -> tuple[str, ...]:
    of_tenant = one.rpartition("/integrations/")[0]
    return (f"{of_tenant}/integrations", one, f"{one}/health", f"{one}/health/history", f"{of_tenant}/notifications")


async def refuse(it: Running, noted: Noted) -> None:
    """Errors too are seen by people."""
    begun = await it.tokens.service.connections.begin(TENANT, "harbor-files", redirect_uri=CALLBACK, user_id="u")
    noted.see("repr", begun)
    with pytest.raises(ConnectError) as caught:
        await it.tokens.service.connections.finish({"state": "made-up", "code": "c"}, browser=begun.browser)
    noted.see("error", str(caught.value))


async def test_in_a_full_run_no_token_is_seen_where_it_should_not_be(
    tmp_path: Path, noted: Noted, logged: None
) -> None:
    async with (
        running_world(faults=False, token_lifetime=4) as world,
        mail_server() as post,
        receiver() as hook,
        everything(tmp_path, post) as it,
    ):
        with traced() as seen:
            await live(it, world, noted, post, hook)
        for span in seen.spans:
            noted.see("trace", span.to_json())
        for view in await it.app.store.page(Where(), limit=1000):
            noted.see("job", _text(view))
        for row in await it.tokens.service.audit.page(limit=1000):
            noted.see("audit", _text(row))
    for file in sorted(tmp_path.rglob("*")):
        if file.is_file() and file.name != "lamplighter.key":
            noted.see("disk", file.read_bytes().decode("latin-1"))
    cli = Program(tmp_path)
    for command in (["integrations"], ["integrations", "providers"], ["integrations", "recipients"], ["jobs", "list"]):
        noted.see("command line", cli(*command, "--json").out)
    assert len(noted.secrets) > 20
    told = {"API", "audit", "command line", "event", "job", "mail", "repr", "webhook"}
    assert set(noted.seen) == told | {"disk", "error", "log", "trace"}
    assert noted.leaks() == []


def test_a_leak_would_be_found(noted: Noted) -> None:
    Vault.from_text("k:" + "A" * 42 + "E=").encrypt("the-token", "integration/i-1/access_token")
    noted.see("log", "GET /me with the-token")
    assert noted.leaks() == [("log", "integration/i-1/access_token")]


def _text(value: Event | object) -> str:
    return f"{value!r} {json.dumps(msgspec.to_builtins(value, enc_hook=repr))}"
