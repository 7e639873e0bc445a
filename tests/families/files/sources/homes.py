"""Places with files, one of each kind: filled, opened again and again, and made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote

import httpx2
import msgspec
import obstore
from bench.file_servers import BUCKET, PASSWORD, REGION, USER
from obstore.store import S3Store
from tests.counterparts.fault_proxy import FaultProxy, answer
from tests.families.files.sources.fake_drives import FakeBox, FakeDropbox
from tests.integrations.support import Plans

from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.families.files.source import Entry, Page, Source
from lamplighter.families.files.sources.opening import open_source
from lamplighter.families.files.sources.place import Credentials
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.provider import Call, load_facts
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.tenants import Tenant

if TYPE_CHECKING:
    from obstore.store import S3Config

FOLDER = "application/vnd.google-apps.folder"
BEARER = {"Authorization": "Bearer valid-token"}
LOGIN = Credentials(USER, Secret(PASSWORD))
WRONG = Credentials(USER, Secret("paraffin"))


class Home:
    """Where files are. `proxy`: what all requests go through."""

    proxy: FaultProxy | None = None

    async def put(self, path: str, content: bytes) -> None:
        raise NotImplementedError

    def open(self, place: str = "", *, is_known: bool = True) -> AbstractAsyncContextManager[Source]:
        """The source; `is_known`: with the right credentials."""
        raise NotImplementedError

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        if self.proxy:
            self.proxy.heal()

    async def fill(self, tree: Mapping[str, bytes]) -> None:
        for path, content in tree.items():
            await self.put(path, content)


class Folder(Home):
    def __init__(self, root: Path) -> None:
        self.root = root

    async def put(self, path: str, content: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def open(self, place: str = "", *, is_known: bool = True) -> AbstractAsyncContextManager[Source]:
        return open_source("folder", str(self.root), roots=[self.root.parent])


class Dav(Folder):
    """The same folder, served as `name` below what the server serves."""

    def __init__(self, root: Path, proxy: FaultProxy) -> None:
        super().__init__(root)
        self.proxy = proxy

    def open(self, place: str = "", *, is_known: bool = True) -> AbstractAsyncContextManager[Source]:
        assert self.proxy is not None
        url = f"{self.proxy.url}/files/{self.root.name}"
        return open_source("webdav", url, credentials=LOGIN if is_known else WRONG)


class Storage(Home):
    """A prefix in a bucket. The server takes any key, so one that it does not know is the proxy's doing."""

    def __init__(self, url: str, prefix: str, proxy: FaultProxy) -> None:
        options: S3Config = {"endpoint": url, "region": REGION, "access_key_id": "k", "secret_access_key": "s"}
        self._store = S3Store(BUCKET, config=options, client_options={"allow_http": True})
        self._prefix = prefix
        self.proxy = proxy

    async def put(self, path: str, content: bytes) -> None:
        await obstore.put_async(self._store, f"{self._prefix}/{path}", content)

    def open(self, place: str = "", *, is_known: bool = True) -> AbstractAsyncContextManager[Source]:
        assert self.proxy is not None
        if not is_known:
            self.proxy.meet("/", answer(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"), count=None)
        place = f"s3://{BUCKET}/{self._prefix}/?region={REGION}&endpoint={self.proxy.url}"
        return open_source("s3", place, credentials=LOGIN)


class Drive(Home):
    """A tenant's drive at a provider whose hosts are the proxy."""

    def __init__(self, folder: Path, slug: str, proxy: FaultProxy) -> None:
        self._folder = folder
        self._slug = slug
        self.proxy: FaultProxy = proxy
        self.http = httpx2.AsyncClient(headers=BEARER)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """With a service in which the drive is connected."""
        settings = Settings(store=f"sqlite:///{self._folder}/drive.db")
        async with open_service(settings, Plans()) as self._service, self.http:
            self.integration_id = await self._connect(self._service, "valid-token")
            yield self

    @asynccontextmanager
    async def open(self, place: str = "", *, is_known: bool = True) -> AsyncIterator[Source]:
        if not is_known:
            self.integration_id = await self._connect(self._service, "stale-token")
        async with open_source("drive", place, service=self._service, integration_id=self.integration_id) as source:
            yield source

    async def _connect(self, service: Service, token: str) -> str:
        facts = load_facts()[self._slug]
        calls = {name: self._here(call) for name, call in facts.calls.items()}
        provider = msgspec.structs.replace(facts, calls=calls).with_client("client", Secret("client-secret"))
        await service.registrations.register(provider)
        await service.tenants.add([Tenant(id="ada", name="Ada", owner_id="auth|1")])
        new = NewIntegration(tenant_id="ada", provider_slug=self._slug, access_token=Secret(token))
        return (await service.integrations.connect(new)).id

    def _here(self, call: Call) -> Call:
        url = self.proxy.url_for(call.url).replace("https://", "http://", 1)
        return msgspec.structs.replace(call, url=url)

    async def _call(self, method: str, path: str, **how: Any) -> Any:
        """The server itself, asked through the proxy, which has to be well."""
        found = await self.http.request(method, f"{self.proxy.url}{path}", **how)
        found.raise_for_status()
        return found.json() if found.content else None


class Google(Drive):
    """The mock knows no root by that name, which the proxy therefore answers."""

    ROOT: ClassVar = {"id": "the-root", "name": "My Drive", "mimeType": FOLDER}

    def __init__(self, folder: Path, proxy: FaultProxy) -> None:
        super().__init__(folder, "gdrive", proxy)
        self.ids: dict[str, str] = {"": "the-root"}
        self.mend()

    def mend(self) -> None:
        self.proxy.heal()
        self.proxy.meet("/drive/v3/files/root", answer(200, self.ROOT), count=None)

    async def put(self, path: str, content: bytes) -> None:
        if path not in self.ids:
            self.ids[path] = await self._add(path, "text/plain")
        headers = {"Content-Type": "text/plain"}
        url = f"/upload/drive/v3/files/{self.ids[path]}?uploadType=media"
        await self._call("PATCH", url, content=content, headers=headers)

    async def delete(self, path: str) -> None:
        await self._call("DELETE", f"/drive/v3/files/{self.ids[path]}")

    async def change(self, path: str, **fields: Any) -> None:
        await self._call("PATCH", f"/drive/v3/files/{self.ids[path]}", json=fields)

    async def move(self, path: str, folder: str, name: str) -> None:
        await self.change(path, parents=[self.ids[folder]], name=name)

    async def _add(self, path: str, kind: str) -> str:
        folder, _, name = path.rpartition("/")
        if folder not in self.ids:
            self.ids[folder] = await self._add(folder, FOLDER)
        made = {"name": name, "mimeType": kind, "parents": [self.ids[folder]]}
        return str((await self._call("POST", "/drive/v3/files", json=made))["id"])


class Graph(Drive):
    """The mock's root has the root's id, but not its facet."""

    def __init__(self, folder: Path, proxy: FaultProxy) -> None:
        super().__init__(folder, "onedrive", proxy)
        self.ids: dict[str, str] = {"": "root"}

    async def put(self, path: str, content: bytes) -> None:
        folder, _, name = path.rpartition("/")
        parent = await self._folder_of(folder)
        url = f"/v1.0/me/drive/items/{parent}:/{quote(name, safe='')}:/content"
        headers = {"Content-Type": "text/plain"}
        self.ids[path] = (await self._call("PUT", url, content=content, headers=headers))["id"]

    async def delete(self, path: str) -> None:
        await self._call("DELETE", f"/v1.0/me/drive/items/{self.ids[path]}")

    async def change(self, path: str, **fields: Any) -> None:
        await self._call("PATCH", f"/v1.0/me/drive/items/{self.ids[path]}", json=fields)

    async def move(self, path: str, folder: str, name: str) -> None:
        await self.change(path, parentReference={"id": self.ids[folder]}, name=name)

    async def _folder_of(self, path: str) -> str:
        if path not in self.ids:
            outer, _, name = path.rpartition("/")
            url = f"/v1.0/me/drive/items/{await self._folder_of(outer)}/children"
            self.ids[path] = (await self._call("POST", url, json={"name": name, "folder": {}}))["id"]
        return self.ids[path]


class InMemory(Drive):
    """Dropbox or Box."""

    def __init__(self, folder: Path, slug: str, proxy: FaultProxy, fake: FakeDropbox | FakeBox) -> None:
        super().__init__(folder, slug, proxy)
        self.fake = fake

    async def put(self, path: str, content: bytes) -> None:
        self.fake.put(path, content)


def by_path(entries: list[Entry]) -> dict[str, Entry]:
    """Where each is, whichever way the source tells it; what is told again counts last."""
    known = {entry.id: entry for entry in entries}

    def path_of(entry: Entry) -> str:
        if entry.path is not None:
            return entry.path
        return f"{path_of(known[entry.parent])}/{entry.name}" if entry.parent else entry.name

    return {path_of(entry): entry for entry in known.values()}


async def listed(home: Home, place: str = "", *, killed: bool = False) -> tuple[list[Page], dict[str, Entry]]:
    """The pages of a whole listing; `killed`: by a new source for each of them."""
    pages: list[Page] = []
    while not pages or not pages[-1].is_last:
        async with home.open(place) as source:
            while not pages or not pages[-1].is_last:
                pages.append(await source.list(pages[-1].cursor if pages else None))
                if killed:
                    break
    return pages, by_path([entry for page in pages for entry in page.entries])


async def changed(source: Source, cursor: str) -> tuple[dict[str, Entry], set[str], str]:
    """All that changed since: what is there, by id, what is gone, and where it goes on."""
    there: dict[str, Entry] = {}
    gone: set[str] = set()
    while True:
        page = await source.delta(cursor)
        gone |= set(page.gone)
        there = {id_: entry for id_, entry in there.items() if id_ not in page.gone}
        there |= {entry.id: entry for entry in page.entries}
        cursor = page.cursor
        if page.is_last:
            return there, gone - there.keys(), cursor
