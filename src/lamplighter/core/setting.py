"""Kinds of settings: what each accepts, from a file's typed value as from an environment variable's text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from lamplighter.core.duration import format_duration, parse_duration
from lamplighter.core.mailbox import read_mailbox
from lamplighter.core.secret import REDACTED, Secret, redact_url

_LONGEST = 4096  # characters: no setting needs more, and an error about one stays readable
_MOST_NAMES = 100
_MOST_MAIL_SERVERS = 3


class Kind(NamedTuple):
    """`accepts` completes the sentence "give …"; `read` raises ValueError; a `private` value is in no error."""

    accepts: str
    read: Callable[[object], object]
    private: bool = False


def whole(least: int, most: int) -> Kind:
    """A whole number within bounds, both included."""

    def read(value: object) -> int:
        number = int(_matching(r"[0-9]{1,18}", value)) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise ValueError
        return number

    return Kind(f"a whole number from {least} to {most}", read)


def span(least: str, most: str) -> Kind:
    """A duration within bounds, both included."""
    shortest, longest = parse_duration(least), parse_duration(most)

    def read(value: object) -> timedelta:
        duration = parse_duration(value)
        if not shortest <= duration <= longest:
            raise ValueError
        return duration

    return Kind(f"a duration from {least} to {most}, such as 30s, 5m, 2h or 7d, or a number of seconds", read)


def choice(*words: str) -> Kind:
    """One of a few words, in any case."""
    return Kind(f"one of {', '.join(words)}", lambda value: _matching("|".join(words), value, re.IGNORECASE).lower())


def several(*words: str) -> Kind:
    """Some of a few words, at least one."""

    def read(value: object) -> tuple[str, ...]:
        if not (items := _read_list("|".join(words), value)):
            raise ValueError
        return items

    return Kind(f"some of {', '.join(words)} as a list or with commas between", read)


def _read_names(value: object) -> tuple[str, ...]:
    return _read_list(r"[\w.:-]{1,64}", value)


def _read_subjects(value: object) -> tuple[str, ...]:
    return _read_list(r"[^\s,]{1,200}", value)


def _read_values(value: object) -> tuple[str, ...]:
    return _read_list(r"[^\s,]([^,\n]{0,198}[^\s,])?", value)


def _read_list(pattern: str, value: object) -> tuple[str, ...]:
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or len(items) > _MOST_NAMES:
        raise ValueError
    return tuple(dict.fromkeys(_matching(pattern, item, re.ASCII) for item in items))


def _read_host(value: object) -> str:
    return _matching(r"[A-Za-z0-9.:_-]{1,253}", value)


def _read_line(value: object) -> str:
    return _matching(r"[^\s].{0,499}", value)


def _read_url(value: object) -> str:
    return _matching(r"[a-z][a-z0-9+.-]*://.*", value)


def _read_path(value: object) -> Path:
    return Path(_matching(r"[^\0]+", value))


def _read_folders(value: object) -> tuple[str, ...]:
    return _read_list(r"/[^\0,\n]*", value)


def _read_keys(value: object) -> Secret:
    key = r"\s*[\w-]{1,32}:[A-Za-z0-9+/]{43}=\s*"
    return Secret(_matching(rf"{key}(?:,{key})*", value, re.ASCII))


def _read_secret(value: object) -> Secret:
    return Secret(_matching(r".+", value))


def _read_smtp(value: object) -> Secret:
    urls = value if isinstance(value, list) else re.split(r"[\s,]+(?=smtps?://)", _matching(r".+", value))
    if not 0 < len(urls) <= _MOST_MAIL_SERVERS:
        raise ValueError
    return Secret(" ".join(map(_read_mail_server, urls)))


def _read_mail_server(value: object) -> str:
    where = r"(?:[^\s@/?#]+@)?(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]{1,5})?/?"
    text = _matching(rf"smtps://{where}|smtp://{where}(?:\?starttls=(?:always|never))?", value, re.ASCII)
    urlsplit(text).port  # noqa: B018 - raises ValueError for one that cannot be
    return text


def _read_mailbox(value: object) -> str:
    text = _matching(r".+", value)
    read_mailbox(text)
    return text


def _read_window(value: object) -> str:
    clock = r"([01][0-9]|2[0-3]):[0-5][0-9]"
    text = _matching(rf"{clock}-{clock}", value)
    begins, _, ends = text.partition("-")
    if begins == ends:
        raise ValueError
    return text


def _read_zone(value: object) -> str:
    name = _matching(r"[A-Za-z0-9/_+-]{1,64}", value)
    try:
        return ZoneInfo(name).key
    except (KeyError, OSError) as error:
        raise ValueError from error


def _read_web_url(value: object) -> str:
    return _matching(r"https?://[^\s<>\"]+", value)


NAMES = Kind(f"at most {_MOST_NAMES} names of letters, digits and _.:- as a list or with commas between", _read_names)
URL = Kind("a URL such as sqlite:///lamplighter.db", _read_url, private=True)
FOLDER = Kind("the path of a folder", _read_path)
FOLDERS = Kind(f"at most {_MOST_NAMES} absolute paths of folders as a list or with commas between", _read_folders)
FILE = Kind("the path of a file", _read_path)
KEYS = Kind("id:key[,id:key], each key the base64 of 32 bytes, the one that encrypts first", _read_keys, private=True)
SMTP = Kind(
    "smtp://user:password@host:587 or smtps://user:password@host:465, what is special in the password as %40; "
    "up to 3 of them, in the order to try them",
    _read_smtp,
    private=True,
)
MAILBOX = Kind("an address such as lamps@example.com or Lamplighter <lamps@example.com>", _read_mailbox)
WEB_URL = Kind("a URL such as https://app.example.com/settings", _read_web_url)
WINDOW = Kind("the hours of a window such as 02:00-05:00, which may go past midnight", _read_window)
ZONE = Kind("an IANA time zone such as Europe/Berlin or UTC", _read_zone)
SUBJECTS = Kind(f"at most {_MOST_NAMES} subjects as a list or with commas between", _read_subjects)
VALUES = Kind(f"at most {_MOST_NAMES} values as a list or with commas between", _read_values)
HOST = Kind("an address to listen on, such as 127.0.0.1, 0.0.0.0 or ::1", _read_host)
LINE = Kind("a line of text", _read_line)
SECRET = Kind("a line of text", _read_secret, private=True)


def show(value: object) -> str:
    """A setting's value, fit to be shown."""
    match value:
        case None:
            return "not set"
        case Secret():
            return REDACTED
        case timedelta():
            return format_duration(value)
        case tuple():
            return ", ".join(value) or show(None)
        case _:
            return redact_url(str(value))


def _matching(pattern: str, value: object, flags: re.RegexFlag = re.NOFLAG) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not re.fullmatch(pattern, value, flags):
        raise ValueError
    return value
