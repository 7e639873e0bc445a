"""A process that reads files, one after the other: `python -m ...child SOCKET LIMITS READERS`, started by its pool."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import select
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from lamplighter.engine.process_group import end_with, limit_memory
from lamplighter.families.files.extraction import language
from lamplighter.families.files.extraction.clean import clean_line
from lamplighter.families.files.extraction.document import Document, Enough, Found, Unreadable
from lamplighter.families.files.extraction.finish import finish
from lamplighter.families.files.extraction.kind import kind_of
from lamplighter.families.files.extraction.limits import LONGEST_LINE, Limits
from lamplighter.families.files.extraction.readers import Reader, Readers, is_full, reader_for
from lamplighter.families.files.extraction.wire import Answer, Request, framed, receive_request

_MOST_FILES_OPEN = 64
_STACK = 512 * 1024  # bytes: the default of 8 MB for each thread counts as memory
_READ_IN_PIECES = ("text/", "image/", "application/json", "application/xml", "application/x-ndjson")
_GROWN = 0.5  # of the memory that it may have: then another process is to go on


def main(arguments: list[str]) -> None:
    """Serve until the pool is gone."""
    connection = socket.socket(fileno=int(arguments[0]))
    limits = msgspec.json.decode(arguments[1], type=Limits)
    _end_with_the_pool(connection)
    limit_memory(limits.memory_mb)
    language.prepare()
    table = _resolved(arguments[2])
    table = table() if callable(table) else table
    _give_up_rights()
    connection.sendall(framed(Answer()))
    while (request := receive_request(connection)) is not None:
        _limit_time(limits)
        connection.sendall(framed(_answer(request, table, limits)))


def _end_with_the_pool(connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(connection, 0)  # that it was hung up is told unasked
    threading.stack_size(_STACK)
    end_with(poll.poll)


def _resolved(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _give_up_rights() -> None:
    """To write files, to open many, and to start programs: whatever takes over a reader finds little to do with it."""
    os.nice(10)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _MOST_FILES_OPEN)
    if not is_full():  # which has threads, and those count as processes
        _limit(resource.RLIMIT_NPROC, 0)


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))


def _limit_time(limits: Limits) -> None:
    """Should the pool not get round to it: the kernel ends what has had twice its time of the processor."""
    most = int(time.process_time() + 2 * limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(request: Request, table: Readers, limits: Limits) -> Answer:
    try:
        with _opened(request.path) as file:
            answer = _read(file, request, table, limits)
    except MemoryError:
        return Answer(failed=f"its reader used more than {limits.memory_mb} MB.", is_last=True)
    except Exception as error:  # noqa: BLE001 - libraries fail of hostile files in ways of their own
        return Answer(failed=_reason(error), is_last=_has_grown(limits))
    return msgspec.structs.replace(answer, is_last=_has_grown(limits))


def _opened(path: str) -> BinaryIO:
    """Without waiting for a writer, should it be a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("is no regular file")
    return os.fdopen(descriptor, "rb")


def _read(file: BinaryIO, request: Request, table: Readers, limits: Limits) -> Answer:
    kind = kind_of(file, request.name, request.mime_type)
    size = os.fstat(file.fileno()).st_size
    found = Found(text_chars=limits.text_chars)
    place = reader_for(kind, table)
    if place is not None:
        document = Document(file=file, name=request.name, size=size, mime_type=kind, limits=limits)
        _run(_resolved(place), document, found)
    return Answer(found=finish(kind, found, limits))


def _run(reader: Reader, document: Document, found: Found) -> None:
    """What was found before a file broke off is worth more than nothing."""
    with contextlib.suppress(Enough):
        try:
            _check_size(document)
            reader(document, found)
        except (MemoryError, Enough):
            raise
        except Exception as error:
            if not found.text:
                raise
            found.break_off(_reason(error))


def _check_size(document: Document) -> None:
    in_pieces = document.mime_type.startswith(_READ_IN_PIECES)
    if document.size > document.limits.file_bytes and not in_pieces:
        raise Unreadable(f"has more than the {document.limits.file_bytes // 1024 // 1024} MB that are read")


def _reason(error: Exception) -> str:
    match error:
        case Unreadable():
            return f"it {error}."
        case RecursionError():
            return "it is nested too deeply to be read."
        case OSError(strerror=str()):
            return f"it cannot be opened or read ({error.strerror})."
        case _:
            return clean_line(f"it is damaged: its reader stopped with {type(error).__name__}.", LONGEST_LINE) or ""


def _has_grown(limits: Limits) -> bool:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # not Linux
        return False
    return pages * resource.getpagesize() > _GROWN * limits.memory_mb * 1024 * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
