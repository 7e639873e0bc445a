"""Where a source is, as text, and what it is opened with: both are looked at before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.safe_url import is_safe

LONGEST = 1000  # characters of a place
LONGEST_SECRET = 500

DRIVES = {
    "gdrive": (re.compile(r"[\w-]{1,200}", re.ASCII), "a folder's id, as in its address"),
    "onedrive": (re.compile(r"/[^\0\n]+|[\w!.-]{1,200}"), "a folder's path from '/', or its id"),
    "dropbox": (re.compile(r"/[^\0\n]*|id:[\w-]{1,200}"), "a folder's path from '/', or its id as id:..."),
    "box": (re.compile(r"[0-9]{1,20}", re.ASCII), "a folder's id, the number in its address"),
}
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
OPTIONS = ("region", "endpoint", "virtual_hosted", "insecure")


class Bucket(Struct, frozen=True, kw_only=True):
    """Where it is. Without `endpoint` it is Amazon's. `virtual_hosted`: its name is in the host, not in the path."""

    name: str
    prefix: str = ""
    region: str = "us-east-1"
    endpoint: str | None = None
    virtual_hosted: bool = False


class Credentials(Struct, frozen=True):
    """A user name and a password, or the id of a key and the key."""

    user: str
    password: Secret


def read_credentials(given: Mapping[str, str]) -> Credentials:
    """From what is stored by name. Raises ConfigError."""
    if set(given) != {"user", "password"}:
        raise ConfigError("a WebDAV or S3 source needs 'user' and 'password' (an S3 key's id and the key): give both.")
    credentials = Credentials(given["user"], Secret(given["password"]))
    check_credentials(credentials)
    return credentials


def check_credentials(credentials: Credentials | None) -> Credentials:
    """That there are some, and that they can be sent. Raises ConfigError, which does not show them."""
    if credentials is None:
        raise ConfigError("this kind of source needs credentials: give a user name and a password.")
    for text in (credentials.user, credentials.password.reveal()):
        if not 0 < len(text) <= LONGEST_SECRET or not text.isprintable():
            raise ConfigError(f"user name and password have 1 to {LONGEST_SECRET} printable characters: give others.")
    if ":" in credentials.user:
        raise ConfigError("a user name has no ':' in it (RFC 7617): give another one.")
    return credentials


def read_drive(drive: str, place: str) -> str:
    """A place within a drive; '' is all of it. Raises ConfigError."""
    form, accepts = DRIVES[drive]
    if place and (len(place) > LONGEST or not form.fullmatch(place)):
        raise ConfigError(f"{place!r:.60} is no place in this drive: give {accepts}, or nothing for all of it.")
    return place


def read_webdav(place: str) -> str:
    """The URL of a folder. Raises ConfigError."""
    if len(place) > LONGEST or not is_safe(place) or urlsplit(place).query:
        raise ConfigError(
            "a WebDAV source needs the https:// URL of a folder, without user name, password or query (http:// is for "
            "loopback only): correct it."
        )
    return place


def read_bucket(place: str) -> Bucket:
    """s3://bucket/prefix?region=...&endpoint=https://...&virtual_hosted=yes&insecure=yes. Raises ConfigError.

    `insecure`: an endpoint of http:// that is not on this machine, such as one within a cluster.
    """
    try:
        parts = urlsplit(place)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise _no_bucket() from None
    is_whole = len(place) <= LONGEST and place.isprintable() and parts.scheme == "s3" and not parts.fragment
    if not is_whole or not BUCKET.fullmatch(parts.netloc) or not set(options) <= set(OPTIONS):
        raise _no_bucket()
    region, endpoint = options.get("region", "us-east-1"), options.get("endpoint")
    if not REGION.fullmatch(region) or any(options.get(name, "no") not in {"yes", "no"} for name in OPTIONS[2:]):
        raise _no_bucket()
    _check_endpoint(endpoint, is_insecure=options.get("insecure") == "yes")
    return Bucket(
        name=parts.netloc,
        prefix=_prefix(parts.path),
        region=region,
        endpoint=endpoint.rstrip("/") if endpoint else None,
        virtual_hosted=options.get("virtual_hosted") == "yes",
    )


def read_folder(place: str, roots: Sequence[Path]) -> Path:
    """A folder that is one of the operator's, or in one. Raises ConfigError."""
    if not roots:
        raise ConfigError("folders are not indexed here: the operator has to name those that may be in file_roots.")
    path = Path(place)
    if len(place) > LONGEST or "\0" in place or not path.is_absolute() or ".." in path.parts:
        raise ConfigError("a folder source needs the absolute path of a folder, without '..': correct it.")
    try:
        real = path.resolve(strict=True)
        is_inside = any(real.is_relative_to(root.resolve()) for root in roots)
    except (OSError, RuntimeError):
        is_inside = False
    if not is_inside or not real.is_dir():  # the same sentence, or whoever asks could feel about for what is here
        raise ConfigError(f"{place!r:.60} is no folder below those that may be indexed: see file_roots.")
    return real


def _check_endpoint(endpoint: str | None, *, is_insecure: bool) -> None:
    if endpoint is None:
        return
    tried = endpoint.replace("http://", "https://", 1) if is_insecure else endpoint
    if not is_safe(tried) or urlsplit(tried).query:
        raise ConfigError(
            "the endpoint must be an https:// URL without user name, password or query (http:// is for loopback, or "
            "with insecure=yes): correct it."
        )


def _prefix(path: str) -> str:
    parts = path.removeprefix("/").removesuffix("/").split("/")
    if parts != [""] and any(part in {"", ".", ".."} for part in parts):
        raise _no_bucket()
    return "/".join(parts)


def _no_bucket() -> ConfigError:
    return ConfigError(
        "an S3 source needs s3://bucket/prefix, and after a '?' at most region, endpoint, virtual_hosted=yes and "
        "insecure=yes: correct it."
    )
