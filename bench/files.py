"""Very many files over WebDAV and S3, indexed while workers are killed: the same index as if nobody had been.

For each server: how fast it is listed, by us and by `rclone lsjson -R`; a run whose workers are killed, and one whose
are not, compared row by row; then some changes, and what the next look at the source does for them.
Run it with `.venv/bin/python -m bench.files`. It ends with 1 if a promise was not held.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import obstore
from bench.file_servers import BUCKET, PASSWORD, REGION, USER, content, make_files, paths, s3_server, webdav_server
from bench.files_run import NAMED, running
from obstore.store import S3Store

from lamplighter.cli.progress import Step, progress
from lamplighter.core.clock import utcnow
from lamplighter.families.files.file_source import Kind
from lamplighter.families.files.sources.opening import open_source
from lamplighter.families.files.sources.place import Credentials, read_credentials

HERE = Path(__file__).parent
CHANGED, NEW, GONE = 60, 20, 20  # of the changes


class Place(NamedTuple):
    """A server with files. `change`: replaces these, and then adds and deletes those. `flags`: how rclone finds it."""

    kind: Kind
    place: str
    change: Callable[[list[str], list[str], list[str]], None]
    flags: list[str]


@contextmanager
def _webdav(count: int, home: Path) -> Iterator[Place]:
    folder = home / "files"
    make_files(folder, count)

    def change(changed: list[str], new: list[str], gone: list[str]) -> None:
        for path in (*changed, *new):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(b"changed: " + content(path))
        for path in gone:
            (folder / path).unlink()

    with webdav_server(folder) as url:
        secret = subprocess.run(["rclone", "obscure", PASSWORD], check=True, capture_output=True, text=True).stdout
        flags = [f"--webdav-url={url}", f"--webdav-user={USER}", f"--webdav-pass={secret.strip()}", ":webdav:"]
        yield Place("webdav", url, change, flags)


@contextmanager
def _s3(count: int, home: Path) -> Iterator[Place]:  # noqa: ARG001 - it keeps everything in memory
    with s3_server(count) as url:
        options: dict[str, Any] = {"access_key_id": USER, "secret_access_key": PASSWORD, "region": REGION}
        store = S3Store(BUCKET, endpoint=url, client_options={"allow_http": True}, **options)

        def change(changed: list[str], new: list[str], gone: list[str]) -> None:
            for path in (*changed, *new):
                obstore.put(store, path, b"changed: " + content(path))
            obstore.delete(store, gone)

        keys = [f"--s3-access-key-id={USER}", f"--s3-secret-access-key={PASSWORD}", f"--s3-region={REGION}"]
        best = ["--fast-list", "--use-server-modtime"]  # or it asks for each folder, and for each file's time
        flags = [*best, "--s3-provider=Other", f"--s3-endpoint={url}", *keys, f":s3:{BUCKET}"]
        yield Place("s3", f"s3://{BUCKET}?region={REGION}&endpoint={url}&insecure=yes", change, flags)


SERVERS = {"webdav": _webdav, "s3": _s3}


async def _listed(place: Place) -> tuple[int, float]:
    """How many files there are, and the seconds that it took to be told of all."""
    began, found, cursor = time.perf_counter(), 0, None
    credentials: Credentials = read_credentials(NAMED)
    async with open_source(place.kind, place.place, credentials=credentials) as source:
        while True:
            page = await source.list(cursor)
            found += sum(not one.is_folder for one in page.entries)
            cursor = page.cursor
            if page.is_last:
                return found, time.perf_counter() - began


def _listed_by_rclone(place: Place) -> float:
    began = time.perf_counter()
    command = ["rclone", "lsjson", "-R", "--files-only", "--no-mimetype", *place.flags]
    env = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}  # rclone fails of it
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    return time.perf_counter() - began


async def _measure(kind: str, options: argparse.Namespace, home: Path, look: Step) -> bool:
    with SERVERS[kind](options.files, home) as place:
        found, ours = await _listed(place)
        theirs = await asyncio.to_thread(_listed_by_rclone, place)
        print(f"\n{kind}: {found:,} files")
        _show("listed by us", found / ours)
        _show("listed by rclone lsjson -R", found / theirs, f"us / rclone {theirs / ours:.2f}")
        async with running(place.kind, place.place, home / "calm", options.workers, look) as run:
            _show("indexed, nobody killed", found / await run.index(found, 0, options.workers))
            calm = await run.rows()
        async with running(place.kind, place.place, home / "killed", options.workers, look) as run:
            _show(f"indexed, {options.kills} killed", found / await run.index(found, options.kills, options.workers))
            killed = await run.rows()
            differ = abs(len(calm) - len(killed)) + sum(one != two for one, two in zip(calm, killed, strict=False))
            print(f"  rows of the two: {len(calm):,}, of which {differ} differ")
            since = utcnow()
            await asyncio.to_thread(_change, place, options.files)
            took = await run.look_again(since)
            counted = await run.counted(since)
        print(f"  {CHANGED + NEW + GONE} changes: {counted.read} files read, {took:.0f} s; {counted.there:,} are there")
        return (found, differ, *counted) == (options.files, 0, CHANGED + NEW, options.files + NEW - GONE)


def _change(place: Place, count: int) -> None:
    every = list(paths(count + NEW))
    touched = random.Random(3).sample(every[:count], CHANGED + GONE)
    place.change(touched[:CHANGED], every[count:], touched[CHANGED:])


def _show(what: str, rate: float, beside: str = "") -> None:
    print(f"  {what:<28}{rate:>8,.0f} files/s   {beside}".rstrip(), flush=True)


def main() -> None:
    """Measure each server, and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--server", choices=SERVERS, action="append")
    options = parser.parse_args()
    if shutil.which("rclone") is None:
        raise SystemExit("rclone is compared with: install it (Debian's package rclone) first.")
    held = []
    for kind in options.server or SERVERS:
        with tempfile.TemporaryDirectory(dir=HERE) as home, progress() as look:
            held.append(asyncio.run(_measure(kind, options, Path(home), look)))
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
