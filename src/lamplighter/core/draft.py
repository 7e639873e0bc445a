"""A job that has not been added yet: which one, with what arguments, under what options."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypedDict, TypeVar, get_args

import msgspec

from lamplighter.core.clock import to_us
from lamplighter.core.definition import Definition
from lamplighter.core.errors import BadArguments, ConfigError
from lamplighter.core.ids import new_id
from lamplighter.core.model import NewJob, Priority, Unique, UniqueMode

R = TypeVar("R")
WhenHeld = Literal["keep", "replace", "debounce"]

LONGEST_NAME = 200  # characters of a queue, tenant or key
MOST_LIMITS = 10
FAR_FUTURE = timedelta(days=3650)


class Options(TypedDict, total=False):
    """What may differ from one enqueue to the next.

    unique: True for one job per set of arguments, or a key such as "refresh:{integration_id}", filled from them.
    unique_mode: how long the key is held: while "pending", while "active" (the default: until the job has ended).
    unique_for: hold the key for a period instead, even after the job has ended.
    when_held: what becomes of a job of the same name that still waits under the key: "keep" it as it is (the default),
        "replace" its arguments, priority and time by the new ones, or "debounce": replace them, but put it off for no
        longer than debounce_for.
    debounce_for: how long after its creation a job that is put off again and again is due at the latest.
    limits: the limits that it comes under, as "name" or, for each value apart, "name:{argument}"; "{tenant}" is the
        tenant, and jobs that have none do not come under such a limit.
    """

    queue: str
    priority: int
    delay: timedelta | float
    run_at: datetime
    tenant: str | None
    unique: bool | str
    unique_mode: UniqueMode
    unique_for: timedelta
    when_held: WhenHeld
    debounce_for: timedelta
    limits: Sequence[str]


class Draft(Generic[R]):
    """One call of a job, to be enqueued or put on a schedule. Its arguments are JSON, and checked, already."""

    __slots__ = ("_key", "_limits", "arguments", "definition", "options")

    def __init__(self, definition: Definition, arguments: str, options: Options) -> None:
        self.definition = definition
        self.arguments = arguments
        self.options = options
        unique, limits = options.get("unique", False), options.get("limits", ())
        values = definition.codec.load(arguments) if unique or limits else {}
        self._key = _key(definition.name, unique, values)
        self._limits = _limits(limits, options.get("tenant"), values)

    @property
    def key(self) -> str | None:
        """The unique key that its job takes, if it does."""
        return self._key

    def new_job(self, now: datetime, *, parent: str | None = None, at: datetime | None = None) -> NewJob:
        """The job to add now, or the one for the moment `at`."""
        options = self.options
        return NewJob(
            id=new_id(to_us(now)),
            name=self.definition.name,
            queue=options.get("queue", self.definition.queue),
            run_at=at or _run_at(options, now),
            args=self.arguments,
            priority=options.get("priority", Priority.NORMAL),
            tenant=options.get("tenant"),
            limits=self._limits,
            unique=None if self._key is None else _unique(self._key, options, now),
            parent=parent,
            replaces=options.get("when_held", "keep") != "keep",
            debounce_for=options.get("debounce_for"),
        )


def checked(options: Options) -> Options:
    """The options, if they can be.

    Raises:
        ConfigError: one is unknown or out of bounds.
    """
    for name, value in options.items():
        if name not in Options.__annotations__:
            near = difflib.get_close_matches(name, Options.__annotations__, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(Options.__annotations__)}."
            raise ConfigError(f"jobs have no option {name!r}: {hint}")
        if isinstance(value, str) and not 0 < len(value) <= LONGEST_NAME:
            raise ConfigError(f"the option {name} must have 1 to {LONGEST_NAME} characters: change it.")
    if "delay" in options and "run_at" in options:
        raise ConfigError("a job has either a delay or a run_at: leave one of them out.")
    run_at = options.get("run_at")
    if run_at is not None and run_at.tzinfo is None:
        raise ConfigError(f"run_at={run_at.isoformat()} has no time zone: give an aware datetime.")
    _check_delay(options.get("delay", 0))
    _check_limits(options.get("limits", ()))
    _check_unique(options)
    _check_when_held(options)
    return options


def _check_delay(delay: timedelta | float) -> None:
    try:
        fits = timedelta() <= _seconds(delay) <= FAR_FUTURE
    except (ValueError, OverflowError):  # not a number, or more seconds than a timedelta holds
        fits = False
    if not fits:
        raise ConfigError(f"delay={delay} is not between 0 and ten years: change it.")


def _check_limits(limits: object) -> None:
    if isinstance(limits, str) or not isinstance(limits, Sequence) or not all(isinstance(one, str) for one in limits):
        raise ConfigError(f"limits={limits!r:.80} is no list of limits: give one such as ['provider:{{provider}}'].")
    if len(limits) > MOST_LIMITS:
        raise ConfigError(f"a job comes under {MOST_LIMITS} limits at most: leave some of these {len(limits)} out.")
    for one in limits:
        if not 0 < len(one) <= LONGEST_NAME:
            raise ConfigError(f"a limit of a job must have 1 to {LONGEST_NAME} characters: change it.")


def _check_unique(options: Options) -> None:
    mode, period = options.get("unique_mode", "active"), options.get("unique_for")
    if mode not in get_args(UniqueMode):
        raise ConfigError(f"unique_mode={mode!r} is not one of {', '.join(get_args(UniqueMode))}: change it.")
    if mode == "period" and period is None:  # a key without a moment of its own would be held for ever
        raise ConfigError("unique_mode='period' holds a key for a period: give it as unique_for.")
    if period is not None and not timedelta() < period <= FAR_FUTURE:
        raise ConfigError(f"unique_for={period} is not between 0 and ten years: change it.")


def _check_when_held(options: Options) -> None:
    how, longest = options.get("when_held", "keep"), options.get("debounce_for")
    if how not in get_args(WhenHeld):
        raise ConfigError(f"when_held={how!r} is not one of {', '.join(get_args(WhenHeld))}: change it.")
    if how != "keep" and not options.get("unique"):
        raise ConfigError(f"when_held={how!r} is about a job that holds a unique key: give the key as unique.")
    if how == "debounce" and longest is None:  # a job that is asked for often enough would never run
        raise ConfigError("when_held='debounce' puts a job off, but not for ever: say for how long as debounce_for.")
    if how != "debounce" and longest is not None:
        raise ConfigError("debounce_for bounds how long when_held='debounce' puts a job off: give both, or neither.")
    if longest is not None and not timedelta() < longest <= FAR_FUTURE:
        raise ConfigError(f"debounce_for={longest} is not between 0 and ten years: change it.")
    if longest is not None and _seconds(options.get("delay", 0)) > longest:
        raise ConfigError("delay is longer than debounce_for, which is the longest that a job is put off: change one.")


def _run_at(options: Options, now: datetime) -> datetime:
    if run_at := options.get("run_at"):
        return run_at
    delay = options.get("delay")
    return now if delay is None else now + _seconds(delay)


def _seconds(delay: timedelta | float) -> timedelta:
    return delay if isinstance(delay, timedelta) else timedelta(seconds=delay)


def _unique(key: str, options: Options, now: datetime) -> Unique:
    if period := options.get("unique_for"):
        return Unique(key, "period", now + period)
    return Unique(key, options.get("unique_mode", "active"))


def _key(name: str, unique: bool | str, values: dict[str, Any]) -> str | None:  # noqa: FBT001
    if not unique:
        return None
    if unique is True:  # in the order of the signature, with the defaults: however they were given, they are the same
        digest = hashlib.blake2b(msgspec.json.encode(values), digest_size=16).hexdigest()
        return f"{name}:{digest}"
    return _filled("unique key", unique, values)


def _limits(templates: Sequence[str], tenant: str | None, values: dict[str, Any]) -> tuple[str, ...]:
    fill = {"tenant": tenant, **values}
    keys = (_filled("limit", one, fill) for one in templates if tenant is not None or "{tenant}" not in one)
    return tuple(dict.fromkeys(keys))


def _filled(what: str, template: str, values: dict[str, Any]) -> str:
    if "{" not in template:
        return template
    try:
        key = template.format_map(values)
    except (KeyError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(f"the {what} {template!r} names what the job does not take ({error}): correct it.") from error
    if len(key) > LONGEST_NAME:
        raise BadArguments(f"the {what} {template!r} comes to more than {LONGEST_NAME} characters: shorten it.")
    return key
