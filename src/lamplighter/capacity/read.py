"""A plan from what an operator writes: a TOML file, flags, or both; flags win."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from lamplighter.capacity.plan import MOST_INTEGRATIONS, MOST_WORKERS, Crowd, Plan, Tokens
from lamplighter.core.errors import ConfigError
from lamplighter.core.setting import Kind, choice, span, whole
from lamplighter.integrations.provider import MOST_AT_ONCE, ProviderFacts, bounded, load_facts

INTEGRATIONS = 1_000_000
PROVIDERS = "providers"


def _per_second(value: object) -> float:
    number = float(value) if isinstance(value, int | float | str) else -1.0
    if not 0 < number <= MOST_INTEGRATIONS:  # nor NaN
        raise ValueError
    return number


def _share(value: object) -> float:
    number = float(value.removesuffix("%") if isinstance(value, str) else value)  # type: ignore[arg-type]
    if not 0 < number <= 100:
        raise ValueError
    return number


RATE = Kind("refreshes a second, such as 50", _per_second)

OF_PLAN: Mapping[str, Kind] = MappingProxyType(
    {
        "integrations": whole(1, MOST_INTEGRATIONS),
        "duration": span("1m", "366d"),
        "connected_over": span("0s", "366d"),
        "tokens": choice(*get_args(Tokens)),
        "workers": whole(1, MOST_WORKERS),
        "concurrency": whole(1, MOST_AT_ONCE),
        "latency": span("0.001s", "2m"),
    }
)
OF_PROVIDER: Mapping[str, Kind] = MappingProxyType(
    {
        "share": Kind("a percentage of all integrations, such as 60%", _share),
        "lifetime": span("30s", "366d"),
        "limit": RATE,
        "at_once": whole(1, MOST_AT_ONCE),
        "quota": RATE,
    }
)


class _Told(NamedTuple):
    """What was said of one provider."""

    slug: str
    values: Mapping[str, Any]


def read_plan(file: Path | None, flags: Mapping[str, object], providers: Iterable[str] = ()) -> Plan:
    """The plan of a file, flags (None: not given) and providers such as `gdrive:share=60%:lifetime=1h`.

    Providers that are named as flags replace those of the file. What is known of a provider fills in what was not said.

    Raises:
        ConfigError: something is unknown or cannot be; the sentence says what to write instead.
    """
    table = {} if file is None else _load(file)
    in_file = table.pop(PROVIDERS, {})
    given = {"integrations": INTEGRATIONS, **table, **{key: value for key, value in flags.items() if value is not None}}
    values = _values(given, OF_PLAN, "a plan", also=(PROVIDERS,))
    told = [_from_flag(text) for text in providers] or _from_table(in_file) or _known()
    integrations = values.pop("integrations")
    return Plan(crowds=tuple(_crowds(told, integrations)), **values)


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(bounded(file))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not TOML, not UTF-8
        raise ConfigError(
            f"cannot read the population file {file} ({error}): write `integrations = N` and [providers.SLUG] tables."
        ) from error


def _values(given: Mapping[str, Any], kinds: Mapping[str, Kind], of: str, also: tuple[str, ...] = ()) -> dict[str, Any]:
    return {key: _value(key, value, kinds, of, also) for key, value in given.items()}


def _value(key: str, value: object, kinds: Mapping[str, Kind], of: str, also: tuple[str, ...]) -> Any:
    if key not in kinds:
        near = difflib.get_close_matches(key, [*kinds, *also], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join([*kinds, *also])}."
        raise ConfigError(f"{of} has no {key!r:.60}: {hint}")
    try:
        return kinds[key].read(str(value) if isinstance(value, bool) else value)  # for True is no number here
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(f"{key} of {of} cannot be {value!r:.60}: give {kinds[key].accepts}.") from error


def _from_flag(text: str) -> _Told:
    slug, *pairs = text.split(":")
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                f"{pair!r:.60} in {text!r:.60} is no KEY=VALUE: write for example {slug:.20}:lifetime=1h."
            )
        values[key.strip().replace("-", "_")] = value.strip()
    return _Told(slug, _values(values, OF_PROVIDER, f"provider {slug:.20}"))


def _from_table(tables: object) -> list[_Told]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError("providers of a population file are tables: write [providers.gdrive] above `share = 60`.")
    return [_Told(slug, _values(table, OF_PROVIDER, f"provider {slug:.20}")) for slug, table in tables.items()]


def _known() -> list[_Told]:
    return [_Told(slug, {}) for slug in load_facts()]


def _crowds(told: list[_Told], integrations: int) -> Iterable[Crowd]:
    facts, before, until = load_facts(), 0, 0.0
    for one, share in zip(told, _shares(told), strict=True):
        until += share
        upto = round(integrations * until / 100)
        values = _from_facts(facts.get(one.slug)) | {key: value for key, value in one.values.items() if key != "share"}
        yield Crowd(slug=one.slug, integrations=upto - before, **values)
        before = upto


def _from_facts(facts: ProviderFacts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    return {
        "lifetime": timedelta(seconds=facts.default_lifetime),
        "limit": facts.max_per_second,
        "at_once": facts.max_concurrency,
    }


def _shares(told: list[_Told]) -> list[float]:
    """Percentages of all: what is not said is shared out evenly."""
    said = [one.values.get("share") for one in told]
    rest = 100 - sum(share for share in said if share is not None)
    silent = said.count(None)
    if rest < -1e-9 or (silent == 0 and rest > 1e-9) or (silent and rest < 1e-9):
        raise ConfigError(
            f"the shares of {', '.join(one.slug for one in told):.200} come to {100 - rest:g} %: let them be 100 % "
            "together, or leave some out to share what is left."
        )
    return [rest / silent if share is None else share for share in said]
