"""Job arguments and results as JSON, checked against the signature of the function that takes them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from types import CellType
from typing import Any

import msgspec

from lamplighter.core.errors import BadArguments, ConfigError, NoResult, TooLarge

LARGEST = 256 * 1024  # bytes of JSON for arguments, and for a result: jobs carry ids, not files

_encode = msgspec.json.Encoder().encode
# What msgspec raises over values: the last of them over one that contains itself, or is too deep.
_UNFIT = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


class Codec:
    """Arguments and result of one function, to JSON and back.

    JSON is an object keyed by parameter name, so that any language can write it.

    Raises:
        ConfigError: the function cannot be a job (positional-only or starred parameters, unreadable types).
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        parameters, returns = _signature(name, function)
        self._order = tuple(parameters)
        self._required = frozenset(key for key, (_, default) in parameters.items() if default is _MISSING)
        fields = [
            (key, kind) if default is _MISSING else (key, kind, default) for key, (kind, default) in parameters.items()
        ]
        try:
            self._struct = msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
            self._decode = msgspec.json.Decoder(self._struct).decode
            self._decode_result = msgspec.json.Decoder(returns).decode
        except (TypeError, ValueError) as error:
            raise ConfigError(f"job {name!r} has a parameter or result that JSON cannot carry: {error}.") from error

    def dump(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Arguments as JSON, checked.

        Raises:
            BadArguments: they do not fit the signature.
            TooLarge: they are more than 256 KiB of JSON.
        """
        named = self._by_name(args, kwargs)
        try:
            data = _encode(named)
            self._decode(data)
        except _UNFIT as error:
            raise BadArguments(f"job {self._name!r} cannot take these arguments: {error}.") from error
        return _bounded(data, f"the arguments of job {self._name!r}")

    def load(self, data: str) -> dict[str, Any]:
        """The keyword arguments that `dump` wrote, as the types that the function declares.

        Raises:
            BadArguments: they do not fit the signature (any more).
        """
        try:
            return msgspec.structs.asdict(self._decode(data))
        except _UNFIT as error:
            raise BadArguments(f"job {self._name!r} cannot take the arguments it was given: {error}.") from error

    def dump_result(self, value: Any) -> str | None:
        """A result as JSON; None stays None, so that most jobs store nothing."""
        if value is None:
            return None
        try:
            data = _encode(value)
        except _UNFIT as error:
            raise BadArguments(f"job {self._name!r} returned what JSON cannot carry: {error}.") from error
        return _bounded(data, f"the result of job {self._name!r}")

    def load_result(self, data: str | None) -> Any:
        """The result as the type that the function declares.

        Raises:
            NoResult: it does not fit that type (any more).
        """
        try:
            return None if data is None else self._decode_result(data)
        except _UNFIT as error:
            raise NoResult(f"job {self._name!r} returned what its declared type does not fit: {error}.") from error

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > len(self._order):
            raise BadArguments(f"job {self._name!r} takes {len(self._order)} arguments, but {len(args)} were given.")
        named = dict(zip(self._order, args, strict=False))
        if twice := named.keys() & kwargs.keys():
            raise BadArguments(f"job {self._name!r} was given {', '.join(sorted(twice))} twice: once is enough.")
        named.update(kwargs)
        if missing := self._required - named.keys():
            raise BadArguments(f"job {self._name!r} also needs {', '.join(sorted(missing))}.")
        return named


def _bounded(data: bytes, what: str) -> str:
    if len(data) > LARGEST:
        raise TooLarge(f"{what} take {len(data):,} bytes, more than {LARGEST:,}: store them elsewhere and pass an id.")
    return data.decode()


_MISSING: Any = object()
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _signature(name: str, function: Callable[..., Any]) -> tuple[dict[str, tuple[Any, Any]], Any]:
    """Types and defaults by name, without `ctx`, which comes first; and the type of what is returned."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise ConfigError(f"job {name!r} takes no parameter: its first one must be `ctx`.")
    for parameter in parameters:
        if parameter.kind not in _NAMED:
            raise ConfigError(
                f"job {name!r} has the parameter {parameter}: every parameter of a job must be passable by name."
            )
    hints = _hints(name, function)
    described = {parameter.name: (hints.get(parameter.name, Any), _default(parameter)) for parameter in parameters[1:]}
    return described, hints.get("return", Any)


def _default(parameter: inspect.Parameter) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return _MISSING
    if isinstance(parameter.default, list | dict | set):
        copied = parameter.default.copy
        return msgspec.field(default_factory=copied)
    return parameter.default


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations. That of `ctx` is left alone: it may name what only type checkers import."""
    first = next(iter(inspect.signature(function).parameters))
    wanted = {key: hint for key, hint in function.__annotations__.items() if key != first}
    holder = type("annotations", (), {"__annotations__": wanted, "__module__": function.__module__})
    try:
        return typing.get_type_hints(
            holder, globalns=getattr(function, "__globals__", {}), localns=_closure(function), include_extras=True
        )
    except NameError as error:
        raise ConfigError(
            f"job {name!r} is annotated with a name that cannot be found at run time: {error}. "
            "Import it outside `if TYPE_CHECKING`."
        ) from error


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    """What a function sees of those around it; not what has no value yet, such as its own name where it is a local."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    names = code.co_freevars if code else ()
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=True) if cell != _EMPTY_CELL}


_EMPTY_CELL = CellType()
