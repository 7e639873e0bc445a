"""A function that can be enqueued. It stays a function: a unit test calls it with a `Ctx`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, overload

from lamplighter.app.handle import Handle
from lamplighter.core.definition import Definition
from lamplighter.core.draft import Draft, Options, checked
from lamplighter.engine.context import Ctx

D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")


class Enqueues(Protocol):
    """What a job needs of its app."""

    deps: Any

    async def enqueue(self, drafts: Iterable[Draft[R]], *, tx: object = None) -> list[Handle[R]]: ...


class Job(Generic[D, P, R]):
    """A registered job: `await job.enqueue(...)` takes the arguments of its function, without `ctx`."""

    def __init__(
        self, app: Enqueues, function: Callable[Concatenate[Ctx[D], P], Any], definition: Definition, options: Options
    ) -> None:
        self._app = app
        self.function = function
        self.definition = definition
        self.options = options
        self.__doc__ = function.__doc__
        self.__name__ = definition.name

    @property
    def name(self) -> str:
        """The name that its jobs have in the store."""
        return self.definition.name

    @property
    def deps(self) -> Any:
        """What its app gives to every handler."""
        return self._app.deps

    def using(self, **options: Unpack[Options]) -> Self:
        """The same job under other options, e.g. `job.using(delay=60, tenant="t-1").enqueue(...)`.

        Raises:
            ConfigError: an option is unknown or out of bounds.
        """
        merged: Options = {**self.options, **options}
        if "delay" in options and "run_at" not in options:
            merged.pop("run_at", None)
        if "run_at" in options and "delay" not in options:
            merged.pop("delay", None)
        return type(self)(self._app, self.function, self.definition, checked(merged))

    def draft(self, *args: P.args, **kwargs: P.kwargs) -> Draft[R]:
        """One call, not enqueued yet: for `app.enqueue`, which takes many, and for schedules.

        Raises:
            BadArguments: the arguments do not fit the function.
            TooLarge: they are more than 256 KiB of JSON.
        """
        return Draft(self.definition, self.definition.codec.dump(args, kwargs), self.options)

    def draft_of(self, arguments: Mapping[str, object]) -> Draft[R]:
        """`draft` with the arguments by name, as JSON has them: for who knows neither the function nor its types."""
        return Draft(self.definition, self.definition.codec.dump((), arguments), self.options)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Add one job, durably. Raises what `draft` raises, and StoreUnavailable."""
        [handle] = await self._app.enqueue([self.draft(*args, **kwargs)])
        return handle

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class AsyncJob(Job[D, P, R]):
    """A job written as `async def`."""

    async def __call__(self, ctx: Ctx[D], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is."""
        result: R = await self.function(ctx, *args, **kwargs)
        return result


class SyncJob(Job[D, P, R]):
    """A job written as `def`."""

    def __call__(self, ctx: Ctx[D], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is."""
        result: R = self.function(ctx, *args, **kwargs)
        return result


class Register(Protocol[D]):
    """What `@app.job(...)` makes of a function: the same types, and it can be enqueued."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is an R too: the first that fits is meant
        self, function: Callable[Concatenate[Ctx[D], P], Coroutine[Any, Any, R]]
    ) -> AsyncJob[D, P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Ctx[D], P], R]) -> SyncJob[D, P, R]: ...
