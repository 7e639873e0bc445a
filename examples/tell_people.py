"""A host tells a tenant something of its own, in the transaction of what it tells of: `python tell_people.py`."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from lamplighter import App
from lamplighter.families.notify import NotifyFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.notices.events import NoticeEvent, declare
from lamplighter.integrations.tenants import Tenant

PRINTED = declare(
    NoticeEvent(
        "invoice.printed",
        one="The invoice of {month} is ready",
        many="{count} invoices are ready",
        to_do="Fetch it from your account.",
        sample={"month": "May"},
    )
)

app = App("sqlite:///told.db")
tokens = TokenFamily(app)
NotifyFamily(app, tokens)


async def main() -> None:
    """Tell it, twice by mistake; then look at what the tenant sees."""
    async with app:
        await tokens.service.tenants.add([Tenant(id="acme", name="Acme", owner_id="ada")])
        notices = tokens.service.notices

        def print_invoice(connection: Connection) -> bool:
            # your own statements, on the same connection
            return notices.tell(connection, PRINTED.name, key="2030-05", tenant_id="acme", facts={"month": "May"})

        for _ in range(2):
            print("told" if await tokens.service.database.write(print_invoice) else "told before")
        for notice in await notices.page("acme"):
            print(notice.subject)
        _, telling = await tokens.service.templates.preview("acme", PRINTED.name)
        print(telling.text.splitlines()[-1])


asyncio.run(main())
