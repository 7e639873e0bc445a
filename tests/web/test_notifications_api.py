"""What a tenant is told, over HTTP."""

from __future__ import annotations

from tests.families.running import TENANT
from tests.web.site import OTHER, Site

from lamplighter.demo.world import World

OURS = f"/tenants/{TENANT}/notifications"


async def test_a_tenant_reads_what_it_is_told(site: Site, world: World) -> None:
    connected = await site.connect(world.url)
    await site.service.disconnecting.disconnect(connected.id)
    async with site.calling("owner") as owner:
        newest = (await owner.get(f"{OURS}?limit=1")).json()
        oldest = (await owner.get(f"{OURS}?limit=1&before={newest['next']}")).json()
        [last], [first] = newest["data"], oldest["data"]
        assert [first["event"], last["event"]] == ["integration.connected", "integration.disconnected"]
        assert (last["integrationId"], last["readAt"], newest["unread"]) == (connected.id, None, 2)
        for _ in range(2):
            assert (await owner.post(f"{OURS}/{last['id']}/read")).status_code == 204
        left = (await owner.get(f"{OURS}?unread=true")).json()
    assert ([one["id"] for one in left["data"]], left["unread"]) == ([first["id"]], 1)


async def test_nobody_marks_what_another_tenant_is_told(site: Site, world: World) -> None:
    await site.connect(world.url)
    [notice] = await site.service.notices.page(TENANT)
    foreign = await site.ask("stranger", "POST", f"/tenants/{OTHER}/notifications/{notice.id}/read")
    absent = await site.ask("stranger", "POST", f"/tenants/{OTHER}/notifications/n-0/read")
    assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content) == (204, b"")
    assert await site.service.notices.unread(TENANT) == 1
