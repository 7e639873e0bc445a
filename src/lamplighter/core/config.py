"""Configuration: defaults, then lamplighter.toml, then LAMPLIGHTER_* variables, then flags; the later wins."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.core.setting import (
    FILE,
    FOLDER,
    FOLDERS,
    HOST,
    KEYS,
    LINE,
    MAILBOX,
    NAMES,
    SECRET,
    SMTP,
    SUBJECTS,
    URL,
    VALUES,
    WEB_URL,
    WINDOW,
    ZONE,
    Kind,
    choice,
    several,
    show,
    span,
    whole,
)

CONFIG_FILE = "lamplighter.toml"
CONFIG_VARIABLE = "LAMPLIGHTER_CONFIG"  # names another file

_PREFIX = "LAMPLIGHTER_"
_LARGEST_FILE = 256 * 1024  # bytes
# Kubernetes gives every pod beside a Service named "lamplighter" such variables: they are no settings of ours.
_FROM_KUBERNETES = re.compile(r"LAMPLIGHTER_(SERVICE_(HOST|PORT)|PORT)(_.*)?")
_FOR_OUR_TESTS = re.compile(r"LAMPLIGHTER_TEST_.*")  # say which servers the tests of Lamplighter itself go to


Mode = Literal["development", "production"]
LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]
Switch = Literal["on", "off"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Settings(Struct, frozen=True, kw_only=True):
    """What is in force. A `database` of None is the store's own; no `queues` are all queues."""

    store: Annotated[str, URL] = "sqlite:///lamplighter.db"
    database: Annotated[str | None, URL] = None
    mode: Annotated[Mode, choice(*get_args(Mode))] = "development"
    concurrency: Annotated[int, whole(1, 10_000)] = 100
    queues: Annotated[tuple[str, ...], NAMES] = ()
    lease: Annotated[timedelta, span("1s", "1h")] = timedelta(seconds=30)
    grace: Annotated[timedelta, span("0s", "1h")] = timedelta(seconds=30)
    folder: Annotated[Path | None, FOLDER] = None
    file_roots: Annotated[tuple[str, ...], FOLDERS] = ()
    encryption_keys: Annotated[Secret | None, KEYS] = None
    mwap_encryption_key: Annotated[Secret | None, SECRET] = None
    smtp_url: Annotated[Secret | None, SMTP] = None
    mail_from: Annotated[str | None, MAILBOX] = None
    public_url: Annotated[str | None, WEB_URL] = None
    web_host: Annotated[str, HOST] = "127.0.0.1"
    web_port: Annotated[int, whole(0, 65_535)] = 8100
    web_url: Annotated[str | None, WEB_URL] = None
    web_rate: Annotated[int, whole(1, 100_000)] = 500
    web_password: Annotated[Switch, choice(*get_args(Switch))] = "on"  # noqa: S105 - whether there is one
    web_owners: Annotated[Switch, choice(*get_args(Switch))] = "off"
    jwt_issuer: Annotated[str | None, LINE] = None
    jwt_audience: Annotated[str | None, LINE] = None
    jwt_jwks_url: Annotated[str | None, WEB_URL] = None
    jwt_algorithms: Annotated[tuple[str, ...], several("RS256", "ES256")] = ("RS256", "ES256")
    jwt_superadmins: Annotated[tuple[str, ...], SUBJECTS] = ()
    jwt_role_claim: Annotated[str | None, LINE] = None
    jwt_tenants_claim: Annotated[str | None, LINE] = None
    oidc_issuer: Annotated[str | None, WEB_URL] = None
    oidc_client_id: Annotated[str | None, LINE] = None
    oidc_client_secret: Annotated[Secret | None, SECRET] = None
    oidc_name: Annotated[str | None, LINE] = None
    oidc_scopes: Annotated[tuple[str, ...], SUBJECTS] = ("openid",)
    oidc_algorithms: Annotated[tuple[str, ...], several("RS256", "ES256")] = ("RS256", "ES256")
    oidc_role_claim: Annotated[str, LINE] = "sub"
    oidc_superadmins: Annotated[tuple[str, ...], VALUES] = ()
    oidc_operators: Annotated[tuple[str, ...], VALUES] = ()
    oidc_viewers: Annotated[tuple[str, ...], VALUES] = ()
    oidc_tenants: Annotated[tuple[str, ...], VALUES] = ()
    oidc_tenants_claim: Annotated[str | None, LINE] = None
    keep_done: Annotated[timedelta, span("0s", "3650d")] = timedelta(days=7)
    keep_done_count: Annotated[int, whole(0, 1_000_000_000)] = 100_000
    keep_failed: Annotated[timedelta, span("0s", "3650d")] = timedelta(days=30)
    keep_failed_count: Annotated[int, whole(0, 1_000_000_000)] = 100_000
    keep_history: Annotated[timedelta, span("1d", "3650d")] = timedelta(days=90)
    keep_audit: Annotated[timedelta, span("1d", "3650d")] = timedelta(days=400)
    keep_measurements: Annotated[timedelta, span("1d", "30d")] = timedelta(days=7)
    keep_hourly: Annotated[timedelta, span("35d", "3650d")] = timedelta(days=90)
    keep_daily: Annotated[timedelta, span("100d", "36500d")] = timedelta(days=1095)
    keep_monthly: Annotated[timedelta, span("365d", "36500d")] = timedelta(days=3650)
    audit_archive: Annotated[str | None, URL] = None
    audit_archive_key: Annotated[Secret | None, SECRET] = None
    audit_archive_after: Annotated[timedelta, span("1h", "3650d")] = timedelta(days=90)
    audit_verify_every: Annotated[timedelta, span("1h", "90d")] = timedelta(days=1)
    upkeep_window: Annotated[str | None, WINDOW] = None
    upkeep_days: Annotated[tuple[str, ...], several(*get_args(Day))] = get_args(Day)
    upkeep_tz: Annotated[str, ZONE] = "UTC"
    upkeep_lock_timeout: Annotated[timedelta, span("0.01s", "1m")] = timedelta(seconds=0.5)
    upkeep_oldest_transaction: Annotated[timedelta, span("1s", "1d")] = timedelta(minutes=5)
    upkeep_bloat: Annotated[int, whole(5, 95)] = 40
    upkeep_least_mb: Annotated[int, whole(0, 1_000_000)] = 16
    upkeep_also: Annotated[tuple[str, ...], NAMES] = ()
    backup_folder: Annotated[Path | None, FOLDER] = None
    backup_kept: Annotated[int, whole(1, 1000)] = 7
    files_interval: Annotated[timedelta, span("1s", "1d")] = timedelta(minutes=1)
    files_interval_longest: Annotated[timedelta, span("1s", "30d")] = timedelta(hours=1)
    files_largest: Annotated[int, whole(1, 10_000)] = 100
    files_per_tenant: Annotated[int, whole(1, 1000)] = 8
    files_per_provider: Annotated[int, whole(1, 1000)] = 32
    alerts_rules: Annotated[Path | None, FILE] = None
    alerts_every: Annotated[timedelta, span("0.1s", "10m")] = timedelta(seconds=15)
    files_processes: Annotated[int, whole(1, 64)] = 2
    files_timeout: Annotated[timedelta, span("1s", "1h")] = timedelta(seconds=30)
    files_memory_mb: Annotated[int, whole(256, 65_536)] = 512
    files_text: Annotated[int, whole(0, 10_000_000)] = 200_000
    files_gps: Annotated[Switch, choice(*get_args(Switch))] = "off"
    runbooks_url: Annotated[str | None, WEB_URL] = None
    metrics_host: Annotated[str, HOST] = "127.0.0.1"
    metrics_port: Annotated[int | None, whole(0, 65_535)] = None
    metrics_tenants: Annotated[int, whole(0, 1000)] = 0
    keep_log_lines: Annotated[int, whole(0, 10_000)] = 500
    log_format: Annotated[LogFormat, choice(*get_args(LogFormat))] = "auto"
    log_level: Annotated[LogLevel, choice(*get_args(LogLevel))] = "info"

    def shown(self) -> dict[str, str]:
        """Every setting, fit to be shown."""
        return {key: show(getattr(self, key)) for key in self.__struct_fields__}

    # Both, because a store's URL may hold a password, and rich prints the locals of a traceback.
    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{key}={value!r}' for key, value in self.shown().items())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self.shown().items())


_KINDS: Mapping[str, Kind] = {
    key: hint.__metadata__[0] for key, hint in get_type_hints(Settings, include_extras=True).items()
}


class Row(NamedTuple):
    """One line of `lamplighter config`; `source` is `default`, `file PATH`, `environment NAME` or `flag --name`."""

    key: str
    value: str
    source: str


class Loaded(Struct, frozen=True):
    """The settings in force, and where each that is not a default came from."""

    settings: Settings
    sources: Mapping[str, str]

    def describe(self) -> list[Row]:
        """Every setting with its source, secrets redacted."""
        return [Row(key, value, self.sources.get(key, "default")) for key, value in self.settings.shown().items()]


class _Given(NamedTuple):
    key: str
    value: object
    source: str


def load(
    *,
    flags: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Loaded:
    """Read the configuration.

    Args:
        flags: the command line's values by setting; None is a flag that was not given.
        cwd: where `lamplighter.toml` is looked for, the current directory by default.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, or a value is not what its key accepts.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for given in (*_from_file(environ, cwd or Path()), *_from_environment(environ), *_from_flags(flags)):
        values[given.key] = _read(given)
        sources[given.key] = given.source
    return Loaded(Settings(**values), sources)


def _from_file(environ: Mapping[str, str], cwd: Path) -> Iterator[_Given]:
    named = environ.get(CONFIG_VARIABLE)
    path = (cwd / (named or CONFIG_FILE)).absolute()
    if not named and not path.exists():
        return
    for key, value in _read_file(path).items():
        yield _Given(key, value, f"file {path}")


def _read_file(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        hint = f"make it readable or name another in {CONFIG_VARIABLE}"
        raise ConfigError(f"{path} cannot be read ({error.strerror}): {hint}.") from error
    if len(data) > _LARGEST_FILE:
        raise ConfigError(f"{path} has more than {_LARGEST_FILE} bytes: keep nothing but settings in it.")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file of settings ({error}): correct it.") from error


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    for name, value in environ.items():
        if name.startswith(_PREFIX) and not _is_no_setting(name):
            yield _Given(name.removeprefix(_PREFIX).lower(), value, f"environment {name}")


def _is_no_setting(name: str) -> bool:
    return name == CONFIG_VARIABLE or bool(_FROM_KUBERNETES.fullmatch(name) or _FOR_OUR_TESTS.fullmatch(name))


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Given]:
    for key, value in flags.items():
        if value is not None:
            yield _Given(key, value, f"flag --{key.replace('_', '-')}")


def _read(given: _Given) -> object:
    kind = _KINDS.get(given.key)
    if kind is None:
        near = difflib.get_close_matches(given.key, _KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`lamplighter config` lists those there are."
        raise ConfigError(f"no setting is called {given.key!r:.60} ({given.source}): {hint}")
    try:
        return kind.read(given.value)
    except ValueError:
        shown = "not usable" if kind.private else f"{given.value!r:.60}"
        raise ConfigError(f"{given.key} is {shown} ({given.source}): give {kind.accepts}.") from None
