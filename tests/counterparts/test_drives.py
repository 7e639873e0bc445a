"""The drives themselves: what tests of health checks and of indexers rely on without looking."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from tests.counterparts.drives import TOKEN, GoogleDrive, OneDrive
from tests.counterparts.fault_proxy import answer
from tests.counterparts.fixtures import StartProxy

BEARER = {"Authorization": f"Bearer {TOKEN.reveal()}"}


@pytest.fixture(params=["google_drive", "onedrive"])
def drive(request: pytest.FixtureRequest) -> GoogleDrive | OneDrive:
    found: GoogleDrive | OneDrive = request.getfixturevalue(request.param)
    return found


async def get(http: httpx2.AsyncClient, url: str) -> Any:
    return (await http.get(url, headers=BEARER)).raise_for_status().json()


async def test_a_valid_token_opens_the_health_url(drive: GoogleDrive | OneDrive, http: httpx2.AsyncClient) -> None:
    healthy = await get(http, drive.health_url)
    user = healthy["user"] if isinstance(drive, GoogleDrive) else healthy["owner"]["user"]
    assert user["displayName"] == "Mock User"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer stale"}, {"Authorization": "Bearer"}])
async def test_any_other_token_is_401(
    drive: GoogleDrive | OneDrive, http: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    response = await http.get(drive.health_url, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == (401 if isinstance(drive, GoogleDrive) else "unauthenticated")


async def test_a_drive_behind_a_proxy_knows_faults(
    drive: GoogleDrive | OneDrive, start_proxy: StartProxy, http: httpx2.AsyncClient
) -> None:
    proxy = await start_proxy(drive.url)
    proxy.meet("/", answer(429, retry_after=2))
    url = proxy.url_for(drive.health_url)
    statuses = [(await http.get(url, headers=BEARER)).status_code for _ in range(2)]
    assert statuses == proxy.statuses() == [429, 200]


async def test_google_lists_in_pages_and_tells_what_changed(
    google_drive: GoogleDrive, http: httpx2.AsyncClient
) -> None:
    api = f"{google_drive.url}/drive/v3"
    start = (await get(http, f"{api}/changes/startPageToken"))["startPageToken"]
    for name in "abc":
        (await http.post(f"{api}/files", json={"name": name}, headers=BEARER)).raise_for_status()
    page = await get(http, f"{api}/files?pageSize=2")
    rest = await get(http, f"{api}/files?pageSize=2&pageToken={page['nextPageToken']}")
    assert [file["name"] for file in page["files"] + rest["files"]] == ["a", "b", "c"]
    assert "nextPageToken" not in rest

    gone = page["files"][0]["id"]
    (await http.delete(f"{api}/files/{gone}", headers=BEARER)).raise_for_status()
    changes = await get(http, f"{api}/changes?pageToken={start}")
    assert [change["removed"] for change in changes["changes"]] == [False, False, False, True]
    assert changes["changes"][-1]["fileId"] == gone
    again = await get(http, f"{api}/changes?pageToken={changes['newStartPageToken']}")
    assert again["changes"] == []


async def test_onedrive_gives_deltas_from_a_link_and_from_now(onedrive: OneDrive, http: httpx2.AsyncClient) -> None:
    drive = f"{onedrive.url}/v1.0/me/drive"
    latest = await get(http, f"{drive}/root/delta?token=latest")
    assert latest["value"] == []
    for name in "ab":
        response = await http.post(f"{drive}/items/root/children", json={"name": name}, headers=BEARER)
        response.raise_for_status()
    delta = await get(http, latest["@odata.deltaLink"])
    assert [item["name"] for item in delta["value"]] == ["a", "b"]
    assert [item["name"] for item in (await get(http, f"{drive}/root/delta"))["value"]] == ["root", "a", "b"]

    (await http.delete(f"{drive}/items/{delta['value'][0]['id']}", headers=BEARER)).raise_for_status()
    later = await get(http, delta["@odata.deltaLink"])
    assert [(item["name"], item["deleted"]["state"]) for item in later["value"]] == [("a", "deleted")]


async def test_onedrive_lists_children_in_pages(onedrive: OneDrive, http: httpx2.AsyncClient) -> None:
    children = f"{onedrive.url}/v1.0/me/drive/items/root/children"
    for name in "abc":
        (await http.post(children, json={"name": name}, headers=BEARER)).raise_for_status()
    page = await get(http, f"{children}?$top=2")
    rest = await get(http, page["@odata.nextLink"])
    assert [item["name"] for item in page["value"] + rest["value"]] == ["root", "a", "b", "c"]
    assert "@odata.nextLink" not in rest


async def test_links_lead_back_through_the_proxy(
    onedrive: OneDrive, start_proxy: StartProxy, http: httpx2.AsyncClient
) -> None:
    proxy = await start_proxy(onedrive.url)
    latest = await get(http, f"{proxy.url}/v1.0/me/drive/root/delta?token=latest")
    assert latest["@odata.deltaLink"].startswith(proxy.url)


async def test_they_run_without_a_word(
    drive: GoogleDrive | OneDrive, http: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await http.get(drive.health_url)
    await get(http, drive.health_url)
    assert capfd.readouterr() == ("", "")
