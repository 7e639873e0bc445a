"""The rules in force: those that ship, and what a file of the operator's says otherwise."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from lamplighter.core.config import Settings
from lamplighter.core.duration import parse_duration
from lamplighter.core.errors import ConfigError
from lamplighter.families.alerting.kinds import AnyRule

LARGEST_FILE = 256 * 1024  # bytes
MOST_RULES = 200
LONGEST_NAME = 64  # characters
LONGEST = timedelta(days=7)  # as far back as history goes

KINDS: Mapping[str, type[AnyRule]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyRule)}


def rules_in_force(settings: Settings) -> tuple[AnyRule, ...]:
    """By name. A rule of the file takes what it does not say from the one of that name that ships.

    Raises:
        ConfigError: the file cannot be read, or says what no rule can be.
    """
    path = settings.alerts_rules
    own = {} if path is None else _read(path)
    where = "the rules that ship" if path is None else str(path)
    told = {name: {**shipped().get(name, {}), **own.get(name, {})} for name in {**shipped(), **own}}
    if len(told) > MOST_RULES:
        raise ConfigError(f"{where} makes {len(told)} rules: keep to {MOST_RULES} at most.")
    return tuple(_rule(name, one, where) for name, one in sorted(told.items()))


def shipped() -> Mapping[str, Mapping[str, Any]]:
    """The rules that ship, as their file says them."""
    return tomllib.loads(files(__package__).joinpath("rules.toml").read_text(encoding="utf-8"))


def _read(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): make it readable, or name another in alerts_rules."
        ) from error
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{path} has more than {LARGEST_FILE} bytes: keep nothing but rules of alerts in it.")
    try:
        told = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file of rules ({error}): correct it.") from error
    for name, one in told.items():
        if not isinstance(one, dict):
            raise ConfigError(f"{path} says {name!r:.60} outside of any rule: write it below a line such as [late].")
    return told


def _rule(name: str, told: Mapping[str, Any], where: str) -> AnyRule:
    if not (name.isascii() and name.replace("-", "").isalnum() and len(name) <= LONGEST_NAME):
        raise ConfigError(f"{where}: no rule can be called {name!r:.60}: use letters, digits and dashes.")
    if "kind" not in told:
        near = difflib.get_close_matches(name, shipped(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"give it a kind, one of {', '.join(sorted(KINDS))}."
        raise ConfigError(f"{where}: no rule ships as {name!r}: {hint}")
    kind = KINDS.get(str(told["kind"]))
    if kind is None:
        raise ConfigError(f"{where}: rule {name!r} is of no kind that there is: {_hint(str(told['kind']), KINDS)}")
    return _converted(name, {**told, "name": name}, kind, where)


def _converted(name: str, told: Mapping[str, Any], kind: type[AnyRule], where: str) -> AnyRule:
    fields = {one.encode_name: one.name for one in msgspec.structs.fields(kind)}
    for key in told:
        if key not in fields and key != "kind":
            raise ConfigError(f"{where}: rule {name!r} cannot say {key!r:.60}: {_hint(key, fields)}")
    lengths = {key for key, hint in get_type_hints(kind).items() if hint is timedelta}
    try:
        values = {key: _length(value) if fields.get(key) in lengths else value for key, value in told.items()}
    except ValueError:
        raise ConfigError(f"{where}: rule {name!r} has a time that is none: give durations from 0s to 7d.") from None
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: rule {name!r} cannot be read ({error}): correct it.") from None


def _length(value: object) -> timedelta:
    found = parse_duration(value)
    if found > LONGEST:
        raise ValueError
    return found


def _hint(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(sorted(known))}."


def runbook_of(rule: str, settings: Settings) -> str:
    """Where to read what to do about a rule: a link, if the settings say where the runbooks are published."""
    if settings.runbooks_url is None:
        return f"docs/runbooks/{rule}.md"
    return f"{settings.runbooks_url.rstrip('/')}/{rule}.md"
