from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bench.file_servers import s3_server, webdav_server
from tests.counterparts.drives import GoogleDrive, OneDrive
from tests.counterparts.fixtures import StartProxy
from tests.families.files.sources.fake_drives import Fake, FakeBox, FakeDropbox, serving
from tests.families.files.sources.homes import Dav, Folder, Google, Graph, Home, InMemory, Storage

KINDS = ("folder", "webdav", "s3", "gdrive", "onedrive", "dropbox", "box")


@pytest.fixture(scope="session")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """What a WebDAV server serves, and where; each test has a folder of its own there."""
    served = tmp_path_factory.mktemp("dav")
    with webdav_server(served) as url:
        yield served, url


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """S3-like storage; each test has a prefix of its own there."""
    with s3_server() as url:
        yield url


@pytest.fixture
async def google(google_drive: GoogleDrive, start_proxy: StartProxy, tmp_path: Path) -> AsyncIterator[Google]:
    async with Google(tmp_path, await start_proxy(google_drive.url)).serving() as home:
        yield home


@pytest.fixture
async def graph(onedrive: OneDrive, start_proxy: StartProxy, tmp_path: Path) -> AsyncIterator[Graph]:
    async with Graph(tmp_path, await start_proxy(onedrive.url)).serving() as home:
        yield home


@pytest.fixture
async def dropbox(start_proxy: StartProxy, tmp_path: Path) -> AsyncIterator[InMemory]:
    async for home in _in_memory("dropbox", FakeDropbox(), start_proxy, tmp_path):
        yield home


@pytest.fixture
async def box(start_proxy: StartProxy, tmp_path: Path) -> AsyncIterator[InMemory]:
    async for home in _in_memory("box", FakeBox(), start_proxy, tmp_path):
        yield home


async def _in_memory(slug: str, fake: Fake, start_proxy: StartProxy, folder: Path) -> AsyncIterator[InMemory]:
    assert isinstance(fake, FakeDropbox | FakeBox)
    with serving(fake):
        async with InMemory(folder, slug, await start_proxy(fake.url), fake).serving() as home:
            yield home


@pytest.fixture
async def folder_home(tmp_path: Path) -> Folder:
    (tmp_path / "root").mkdir()
    return Folder(tmp_path / "root")


@pytest.fixture
async def webdav_home(dav: tuple[Path, str], start_proxy: StartProxy, tmp_path: Path) -> Dav:
    served, url = dav
    root = served / tmp_path.name
    root.mkdir()
    return Dav(root, await start_proxy(url.removesuffix("/files/")))


@pytest.fixture
async def s3_home(s3: str, start_proxy: StartProxy, tmp_path: Path) -> Storage:
    return Storage(s3, f"{tmp_path.name}-{os.getpid()}", await start_proxy(s3))


FIXTURES = {
    "folder": "folder_home",
    "webdav": "webdav_home",
    "s3": "s3_home",
    "gdrive": "google",
    "onedrive": "graph",
    "dropbox": "dropbox",
    "box": "box",
}


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of each kind, whose sources make pages of three."""
    for module in ("walk", "pending", "objects", "gdrive"):
        monkeypatch.setattr(f"lamplighter.families.files.sources.{module}.MOST", 3)
    found = request.getfixturevalue(FIXTURES[request.param])
    assert isinstance(found, Home)
    return found
