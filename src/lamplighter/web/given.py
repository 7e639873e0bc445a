"""What the host gave the API, for routes to find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple, TypeAlias

from fastapi import Depends, Request

from lamplighter.app import App
from lamplighter.families.alerting.alerting import Alerting
from lamplighter.families.analytics.family import AnalyticsFamily
from lamplighter.families.analytics.reading import Reading
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.files import Files
from lamplighter.families.tokens import TokenFamily
from lamplighter.families.upkeep.family import UpkeepFamily
from lamplighter.families.upkeep.upkeep import Upkeep
from lamplighter.integrations.service import Service
from lamplighter.web.actions import Actions
from lamplighter.web.refusals import NotKeptUp, NotRolledUp, NotWatched
from lamplighter.web.roles import Caller

Identify: TypeAlias = Callable[[Request], Awaitable[Caller | None]]


class Integrating(NamedTuple):
    """What the nouns about integrations need. `callback_url`: where providers send browsers back; "": nowhere."""

    tokens: TokenFamily
    callback_url: str


class Given(NamedTuple):
    """The arguments of `http_api`, worked out. `integrating` is None where the app has no integrations.

    `for_tenants`: the names of the jobs that tenants may enqueue.
    """

    app: App[Any]
    identify: Identify
    integrating: Integrating | None
    for_tenants: frozenset[str]
    actions: Actions


def given(request: Request) -> Given:
    """What this request's API was given."""
    found: Given = request.app.state.given
    return found


def integrating(request: Request) -> Integrating:
    """The same, for routes that are only there with integrations."""
    found = given(request).integrating
    assert found is not None, "routes about integrations are included with them"
    return found


# Asynchronous, though they wait for nothing: the framework takes others to a thread and back, for every request.
async def _given(request: Request) -> Given:
    return given(request)


async def _app(request: Request) -> App[Any]:
    return given(request).app


async def _tokens(request: Request) -> TokenFamily:
    return integrating(request).tokens


async def _alerting(request: Request) -> Alerting | None:
    return given(request).app.part(Alerting)


def must_be_watched(alerting: Alerting | None) -> Alerting:
    """Raises NotWatched if the app has none."""
    if alerting is None:
        raise NotWatched("this app is alerted of nothing: declare AlertFamily(app), or run `lamplighter web`.")
    return alerting


def must_be_kept_up(app: App[Any]) -> UpkeepFamily:
    """Raises NotKeptUp if the app has no such family."""
    family = app.part(UpkeepFamily)
    if family is None:
        raise NotKeptUp(
            "this app has no jobs for that: declare UpkeepFamily(app, tokens), or use `lamplighter upkeep`."
        )
    return family


async def _upkeep(request: Request) -> Upkeep:
    app = given(request).app
    return Upkeep(app.settings, integrating(request).tokens.service.database, clock=app.clock)


async def _service(request: Request) -> Service:
    return integrating(request).tokens.service


async def _file_sources(request: Request) -> FileSources:
    service = integrating(request).tokens.service
    return FileSources(service.database, service.vault, clock=given(request).app.clock)


async def _files(request: Request) -> Files:
    return Files(integrating(request).tokens.service.database)


async def _rollups(request: Request) -> Reading:
    return Reading(integrating(request).tokens.service.database, clock=given(request).app.clock)


async def _analytics(request: Request) -> AnalyticsFamily:
    """Raises NotRolledUp if the app has none."""
    found = given(request).app.part(AnalyticsFamily)
    if found is None:
        raise NotRolledUp("this app adds nothing up: declare AnalyticsFamily(app, tokens).")
    return found


TheGiven = Annotated[Given, Depends(_given)]
TheApp = Annotated[App[Any], Depends(_app)]
Tokens = Annotated[TokenFamily, Depends(_tokens)]
MaybeAlerting = Annotated[Alerting | None, Depends(_alerting)]
Ours = Annotated[Service, Depends(_service)]
Sources = Annotated[FileSources, Depends(_file_sources)]
TheFiles = Annotated[Files, Depends(_files)]
Rollups = Annotated[Reading, Depends(_rollups)]
TheAnalytics = Annotated[AnalyticsFamily, Depends(_analytics)]
TheUpkeep = Annotated[Upkeep, Depends(_upkeep)]
