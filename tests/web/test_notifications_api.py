"""What a tenant is told, over HTTP."""

from __future__ import annotations

from tests.families.running import TENANT
from tests.web.site import OTHER, Site

from lamplighter.demo.world import World
from lamplighter.integrations.tenants import Tenant

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


async def test_a_tenant_says_how_it_wants_to_hear_of_what_and_in_which_words(site: Site) -> None:
    await site.service.tenants.add([Tenant(id=TENANT, name=TENANT, owner_id="auth|1")])
    event, prefer = "integration.revoked", f"/tenants/{TENANT}/notification-preferences"
    templates = f"/tenants/{TENANT}/notification-templates"
    async with site.calling("owner") as owner:
        changed = await owner.put(f"{prefer}/{event}", json={"digest": "daily"})
        refused = await owner.put(f"{prefer}/alert.firing", json={"muted": True})
        chosen = {one["event"]: one for one in (await owner.get(prefer)).json()["data"]}
        bad = await owner.put(f"{templates}/{event}", json={"text": "{{ subject.__class__ }}"})
        good = await owner.put(f"{templates}/{event}", json={"subject": "Gone: {{ provider }}"})
        [own] = (await owner.get(templates)).json()["data"]
        gone = [(await owner.delete(f"{templates}/{event}")).status_code for _ in range(2)]
    assert (changed.status_code, refused.status_code) == (204, 400)
    assert chosen[event] == {"event": event, "muted": False, "digest": "daily"}
    assert "alert.firing" not in chosen
    assert (bad.status_code, good.status_code) == (400, 204)
    assert "its text cannot be rendered" in bad.json()["error"]["message"]
    assert (own["event"], own["subject"], own["text"], own["failure"]) == (event, "Gone: {{ provider }}", None, None)
    assert gone == [204, 404]
    for path in (f"{prefer}/{event}", f"{templates}/{event}"):
        assert (await site.ask("stranger", "PUT", path, {})).status_code == 403
        assert (await site.ask("viewer", "PUT", path, {})).status_code == 403
