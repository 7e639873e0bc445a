"""Servers with files for benchmarks and tests, each in a process of its own, on a free port of 127.0.0.1.

    make_files(folder, 100_000)
    with webdav_server(folder) as url: ...              # wsgidav on cheroot; it takes USER and PASSWORD
    with s3_server(count=100_000) as url: ...           # moto, with that many objects in BUCKET; it takes any key

`python -m bench.file_servers webdav FOLDER` or `s3 COUNT` is such a process: it prints its URL, ends with its input.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
USER, PASSWORD = "ada", "lamp-oil"
BUCKET = "lantern"
ROOT = Path(__file__).parents[1]
IN_A_FOLDER = 100  # files, and in each folder above them so many folders
REGION = "us-east-1"


def paths(count: int) -> Iterator[str]:
    """Paths of so many files, a hundred to a folder and a hundred folders to each above."""
    for number in range(count):
        folder = number // IN_A_FOLDER
        yield f"part-{folder // IN_A_FOLDER:02}/folder-{folder % IN_A_FOLDER:02}/file-{number:07}.txt"


def content(path: str) -> bytes:
    """A few words that no other file has."""
    return f"The lamplighter was here: {path}\n".encode()


def make_files(folder: Path, count: int) -> None:
    """So many files with a little text in them."""
    for path in paths(count):
        file = folder / path
        if not file.parent.exists():
            file.parent.mkdir(parents=True)
        file.write_bytes(content(path))


@contextmanager
def webdav_server(folder: Path) -> Iterator[str]:
    """The URL of a WebDAV server of that folder."""
    with _running("webdav", str(folder)) as url:
        yield url


@contextmanager
def s3_server(count: int = 0) -> Iterator[str]:
    """The endpoint of S3-like storage with BUCKET and so many objects in it."""
    with _running("s3", str(count)) as url:
        yield url


@contextmanager
def _running(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.file_servers", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "the server did not start: what it wrote to standard error says why."
            yield url
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _serve_webdav(folder: str) -> None:
    # Imported where they serve: whoever only starts a process needs none of them.
    from cheroot.wsgi import Server
    from wsgidav.fs_dav_provider import FilesystemProvider
    from wsgidav.wsgidav_app import WsgiDAVApp

    app = WsgiDAVApp(
        {
            "provider_mapping": {"/files": FilesystemProvider(folder, readonly=True)},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "dir_browser": {"enable": False},
            "verbose": 0,
        }
    )
    logging.getLogger("wsgidav").setLevel(logging.CRITICAL)
    server = Server((HOST, 0), app, numthreads=8)
    server.prepare()
    _announce(f"http://{HOST}:{server.bind_addr[1]}/files/")
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()
    server.stop()


def _serve_s3(count: int) -> None:
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_bucket(BUCKET, REGION)
    for path in paths(count):
        backend.put_object(BUCKET, path, content(path))
    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    _announce(f"http://{host}:{port}")
    sys.stdin.read()
    server.stop()


def _announce(url: str) -> None:
    print(url, flush=True)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if sys.argv[1] == "webdav":
        _serve_webdav(sys.argv[2])
    else:
        _serve_s3(int(sys.argv[2]))
