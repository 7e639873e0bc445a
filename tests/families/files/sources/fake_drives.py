"""Dropbox and Box as their documentation describes them. Nothing real runs here: npm and PyPI have no server of either.

Each remembers files by path, tells changes in order, and pages by three, so that pages are met without many files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "valid-token"
PAGE = 3

Told = tuple[int, object] | tuple[int, object, dict[str, str]]


class Fake:
    """`answer` is told method, path, query, body and headers."""

    url = ""

    def answer(self, path: str, query: dict[str, str], body: Any, headers: dict[str, str]) -> Told:
        raise NotImplementedError


@contextmanager
def serving(fake: Fake) -> Iterator[None]:
    """The fake on a free port; whoever comes without its token gets a 401, but for what is signed in itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if headers.get("authorization") == f"Bearer {TOKEN}" or parts.path.startswith("/signed/"):
                self._send(*fake.answer(parts.path, query, json.loads(text) if text else None, headers))
            else:
                self._send(401, {"code": "unauthorized"})

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class FakeDropbox(Fake):
    """A cursor is a place in the log, or in the list and the log: `is_reset` makes the next one be over."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | None] = {}  # None: a folder
        self.log: list[dict[str, Any]] = []
        self.is_reset = False

    def put(self, path: str, content: bytes) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/" + "/".join(parts[:depth])
            if folder not in self.files:
                self.files[folder] = None
                self.log.append(self._told(folder))
        self.files["/" + path] = content
        self.log.append(self._told("/" + path))

    def delete(self, path: str) -> None:
        for known in [known for known in self.files if (known + "/").startswith(f"/{path}/")]:
            del self.files[known]
        self.log.append({".tag": "deleted", "name": path.rpartition("/")[2], "path_lower": f"/{path}".lower()})

    def answer(self, path: str, query: dict[str, str], body: Any, headers: dict[str, str]) -> Told:
        if path == "/2/files/get_metadata":
            return (200, self._told(body["path"])) if body["path"] in self.files else _not_found()
        if path == "/2/files/list_folder":
            found = [self._told(known) for known in self.files if known.startswith(body["path"] + "/")]
            self._listed = (found, len(self.log))
            return self._page(0)
        if path == "/2/files/list_folder/continue":
            if self.is_reset:
                return 409, {"error_summary": "reset/..", "error": {".tag": "reset"}}
            kind, _, number = body["cursor"].partition(":")
            return self._page(int(number)) if kind == "list" else self._changes(int(number))
        wanted = json.loads(headers["dropbox-api-arg"])["path"]
        content = next((content for known, content in self.files.items() if known.lower() == wanted), None)
        return _not_found() if content is None else (200, content)

    def _page(self, start: int) -> Told:
        found, now = self._listed
        is_more = start + PAGE < len(found)
        cursor = f"list:{start + PAGE}" if is_more else f"log:{now}"
        return 200, {"entries": found[start : start + PAGE], "cursor": cursor, "has_more": is_more}

    def _changes(self, start: int) -> Told:
        end = min(start + PAGE, len(self.log))
        return 200, {"entries": self.log[start:end], "cursor": f"log:{end}", "has_more": end < len(self.log)}

    def _told(self, path: str) -> dict[str, Any]:
        content = self.files[path]
        told = {".tag": "folder", "name": path.rpartition("/")[2], "path_lower": path.lower(), "id": f"id:{path}"}
        if content is None:
            return told
        digest = hashlib.sha256(content).hexdigest()
        return told | {".tag": "file", "size": len(content), "content_hash": digest}


class FakeBox(Fake):
    """Ids are numbers, '0' is the root. Events come twice, the newest first."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {"0": {"id": "0", "type": "folder", "name": "All Files"}}
        self.contents: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []  # of what was asked where downloads are

    def put(self, path: str, content: bytes) -> None:
        *folders, name = path.split("/")
        parent = "0"
        for folder in folders:
            parent = self._child(parent, folder) or self._add(parent, folder, "folder")
        id_ = self._child(parent, name) or self._add(parent, name, "file")
        self.contents[id_] = content
        self.items[id_] |= {"size": len(content), "sha1": hashlib.sha1(content).hexdigest()}
        self.happened(id_)

    def move(self, path: str, folder: str) -> None:
        id_ = self.id_of(path)
        self.items[id_]["parent"] = {"id": self.id_of(folder)}
        self.happened(id_)

    def delete(self, path: str) -> None:
        id_ = self.id_of(path)
        self.happened(id_)
        self.items[id_]["item_status"] = "trashed"

    def id_of(self, path: str) -> str:
        found = "0"
        for name in path.split("/") if path else []:
            found = self._child(found, name) or ""
        return found

    def happened(self, id_: str) -> None:
        source = {"type": self.items[id_]["type"], "id": id_}
        self.events.append({"event_id": f"event-{len(self.events)}", "source": source})

    def answer(self, path: str, query: dict[str, str], body: Any, headers: dict[str, str]) -> Told:  # noqa: PLR0911
        match path.removeprefix("/2.0").strip("/").split("/"):
            case ["events"] if query["stream_position"] == "now":
                return 200, {"next_stream_position": len(self.events), "entries": []}
            case ["events"]:
                start = int(query["stream_position"])
                some = self.events[start : start + PAGE][::-1]
                return 200, {"next_stream_position": start + len(some), "entries": some + some}
            case ["folders", id_, "items"]:
                return self._children(id_, int(query.get("marker", "0")), int(query["limit"]))
            case ["files", id_, "content"] if id_ in self.contents:
                return 302, b"", {"Location": f"{self.url}/signed/{id_}"}
            case ["signed", id_]:
                self.heads.append(headers)
                return 200, self.contents[id_]
            case [_, id_] if id_ in self.items:
                return 200, self.items[id_] | {"path_collection": {"entries": self._around(id_)}}
        return 404, {"code": "not_found", "message": "Not Found"}

    def _children(self, folder: str, start: int, limit: int) -> Told:
        active = [item for item in self.items.values() if item.get("item_status") != "trashed"]
        found = [item for item in active if item.get("parent", {}).get("id") == folder]
        end = start + min(limit, PAGE)
        return 200, {"entries": found[start:end], "next_marker": str(end) if end < len(found) else None}

    def _around(self, id_: str) -> list[dict[str, str]]:
        parent = self.items[id_].get("parent")
        return [*self._around(parent["id"]), parent] if parent else []

    def _child(self, parent: str, name: str) -> str | None:
        for id_, item in self.items.items():
            if item["name"] == name and item.get("parent", {}).get("id") == parent:
                return id_
        return None

    def _add(self, parent: str, name: str, kind: str) -> str:
        id_ = str(100 + len(self.items))
        self.items[id_] = {"id": id_, "type": kind, "name": name, "parent": {"id": parent}, "item_status": "active"}
        self.happened(id_)
        return id_


def _not_found() -> Told:
    return 409, {"error_summary": "path/not_found/", "error": {".tag": "path", "path": {".tag": "not_found"}}}
