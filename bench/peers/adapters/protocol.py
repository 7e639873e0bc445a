"""What every adapter in Python shares: it is told what to do in lines of JSON, and answers each with one.

    python -m bench.peers.adapters.NAME URL RECORD

    {"do": "one_by_one", "jobs": N, "seconds": S}       enqueue, each after the one before
    {"do": "side_by_side", "jobs": N, "seconds": S}     the same, by 50 tasks or 8 threads
    {"do": "bulk", "jobs": N, "seconds": S}             the same, a thousand in a call
    {"do": "later", "jobs": N, "seconds": S, "due": T}  the same, due at that time, as fast as the peer can
    {"do": "paced", "jobs": N, "per_second": R}         one after another, at that rate
    {"do": "work", "concurrency": C}                    run jobs from now on, until stdin ends

It says first what it is: {"version": ..., "bulk": whether it has that}. Both `jobs` and `seconds` bound what is done;
the answer says what they came to. A job appends to the file RECORD when it was sent and when it began. When
stdin ends the adapter ends, with all its children.
Only the standard library is imported here: each peer has an environment of its own.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import queue
import signal
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

BULK = 1000  # jobs in one call
TASKS, THREADS = 50, 8  # that enqueue side by side

_record = -1


def began(sent):
    """A job of any peer does this alone."""
    os.write(_record, struct.pack("<dd", sent, time.time()))  # so few bytes at the end of a file are written whole


class Peer:
    """What an adapter fills in, as methods that are all `async` or all not."""

    package = ""  # whose version is told
    has_bulk = False  # whether `bulk` is there

    def open(self, url):
        """Connect, and make whatever tables there have to be."""

    def enqueue(self, integration, tenant, sent, due=None):
        """Return when one job is stored; `due`: seconds since 1970."""

    def bulk(self, jobs, due=None):
        """Return when all of them are stored."""

    def work(self, concurrency):
        """Run jobs for ever."""


def payloads(jobs, sent=0.0):
    """The same for every peer: names of an integration and of one of fifty tenants, and when it was sent or is due."""
    return ((f"i-{number}", f"t-{number % 50}", sent) for number in range(jobs))


def serve(peer):
    """Do as told."""
    global _record  # noqa: PLW0603 - a job that a library calls by name has nothing else to find it in
    url, record = sys.argv[1:]
    _record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if asyncio.iscoroutinefunction(peer.enqueue):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_async(peer, url))
    else:
        _serve_sync(peer, url)


def _listen(put):
    """Pass on what is told, in a thread of its own, for a worker may have all others. The last thing it does is to end.

    A child that is forked closes `sys.stdin`, and would wait for ever for the lock that a read in this thread holds.
    """
    told, sys.stdin = sys.stdin, open(os.devnull)  # noqa: SIM115 - for as long as this process lives

    def listen():
        for line in told:
            put(json.loads(line))
        os.killpg(os.getpgid(0), signal.SIGKILL)  # the bench gives each adapter a group of its own

    threading.Thread(target=listen, daemon=True).start()


def _say(**answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _hello(peer):
    _say(version=version(peer.package), bulk=peer.has_bulk)


class _Until:
    """Payloads until there are enough, or the time is over."""

    def __init__(self, jobs, seconds, sent=0.0):
        self.began = time.perf_counter()
        self.count = 0
        self._payloads = itertools.takewhile(lambda _: time.perf_counter() - self.began < seconds, payloads(jobs, sent))

    def __iter__(self):
        return self

    def __next__(self):
        payload = next(self._payloads)
        self.count += 1
        return payload

    def batches(self):
        while batch := list(itertools.islice(self, BULK)):
            yield batch

    def told(self):
        return {"jobs": self.count, "seconds": time.perf_counter() - self.began}


# ---------------------------------------------------------------- asynchronous


async def _serve_async(peer, url):
    await peer.open(url)
    loop, told = asyncio.get_running_loop(), asyncio.Queue()
    _listen(lambda order: loop.call_soon_threadsafe(told.put_nowait, order))
    _hello(peer)
    while True:
        order = await told.get()
        if order["do"] == "work":
            task = loop.create_task(peer.work(order["concurrency"]))
            task.add_done_callback(_ended)
            _say()
        else:
            gc.collect()
            _say(**await _enqueue_async(peer, **order))


def _ended(task):
    if not task.cancelled():
        print("the worker ended", repr(task.exception()), file=sys.stderr, flush=True)
    os._exit(1)


async def _enqueue_async(peer, *, do, jobs, seconds=0.0, due=None, per_second=0):
    if do == "paced":
        for number in range(jobs):
            now = time.time()
            await peer.enqueue(f"i-{number}", "t-1", now)
            await asyncio.sleep(max(0.0, now + 1 / per_second - time.time()))
        return {"jobs": jobs}
    left = _Until(jobs, seconds, due or 0.0)
    if do == "bulk" or (do == "later" and peer.has_bulk):
        for batch in left.batches():
            await peer.bulk(batch, due)
    else:
        await asyncio.gather(*(_each(peer, left, due) for _ in range(1 if do == "one_by_one" else TASKS)))
    return left.told()


async def _each(peer, left, due):
    for payload in left:
        await peer.enqueue(*payload, due)


# ---------------------------------------------------------------- synchronous


def _serve_sync(peer, url):
    peer.open(url)
    told = queue.SimpleQueue()
    _listen(told.put)
    _hello(peer)
    while True:
        order = told.get()
        if order["do"] == "work":
            _say()
            peer.work(order["concurrency"])
            sys.exit("the worker ended")
        gc.collect()
        _say(**_enqueue_sync(peer, **order))


def _enqueue_sync(peer, *, do, jobs, seconds=0.0, due=None, per_second=0):
    if do == "paced":
        for number in range(jobs):
            now = time.time()
            peer.enqueue(f"i-{number}", "t-1", now)
            time.sleep(max(0.0, now + 1 / per_second - time.time()))
        return {"jobs": jobs}
    left = _Until(jobs, seconds, due or 0.0)
    if do == "bulk" or (do == "later" and peer.has_bulk):
        for batch in left.batches():
            peer.bulk(batch, due)
    elif do == "one_by_one":
        for payload in left:
            peer.enqueue(*payload, due)
    else:
        lock = threading.Lock()
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda _: _each_sync(peer, left, lock, due), range(THREADS)))
    return left.told()


def _each_sync(peer, left, lock, due):
    while True:
        with lock:
            payload = next(left, None)
        if payload is None:
            return
        peer.enqueue(*payload, due)


def at(due):
    """A moment as `datetime` has it; None stays None."""
    from datetime import UTC, datetime

    return None if due is None else datetime.fromtimestamp(due, UTC)
