"""Which status and code each error has. Its sentence is the message; what was not foreseen says nothing of itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lamplighter.core.errors import (
    BadArguments,
    ConfigError,
    JobCancelled,
    JobFailed,
    LamplighterError,
    NotScheduledHere,
    QueueFull,
    StoreError,
    TooLarge,
    UnknownSchedule,
    UnknownWorker,
)
from lamplighter.families.analytics.ranges import BadRange
from lamplighter.families.audit.restoring import NotRestorable
from lamplighter.families.audit.storage import ArchiveDown, ArchiveError
from lamplighter.families.files.file_source import BadSource
from lamplighter.families.upkeep.finding import UpkeepError
from lamplighter.integrations.connecting.errors import ConnectDenied, ConnectFailed, ConnectRefused
from lamplighter.integrations.oauth import GrantRevoked, OperatorFault, ProviderDown, TokenError
from lamplighter.integrations.refreshing.journal import JournalError
from lamplighter.integrations.refreshing.outcome import Busy, Gone, NotNow
from lamplighter.integrations.registrations import UnknownProvider
from lamplighter.integrations.vault import VaultError
from lamplighter.web import answers
from lamplighter.web.auth import Forbidden, NoSuchJob, NotFound, Unauthorized
from lamplighter.web.refusals import (
    ActionOver,
    FileSourceNotActive,
    KeyReused,
    NoSuchAction,
    NoSuchArchive,
    NoSuchAuditRule,
    NoSuchFile,
    NoSuchFileSource,
    NoSuchHold,
    NoSuchMetric,
    NoSuchSilence,
    NoSuchTemplate,
    NoSuchTenant,
    NoTenantGiven,
    NotInstalled,
    NotKeptUp,
    NotPossible,
    NotRolledUp,
    NotWatched,
    TooManyActions,
    UnknownName,
)
from lamplighter.web.signin.allowance import TooMany
from lamplighter.web.signin.jwks import NoKeys
from lamplighter.web.watch import TooManyListen

TOO_LARGE = 413

_log = logging.getLogger("lamplighter.web")


class Kind(NamedTuple):
    """What a client sees of a class of errors."""

    status: int
    code: str


UNFORESEEN = Kind(500, "server/internal-error")

KINDS: dict[type[LamplighterError], Kind] = {  # the nearest class counts
    LamplighterError: UNFORESEEN,
    Unauthorized: Kind(401, "auth/unauthorized"),
    NoKeys: Kind(503, "auth/unavailable"),
    Forbidden: Kind(403, "auth/insufficient-permissions"),
    TooMany: Kind(429, "request/too-many"),
    NotFound: Kind(404, "cloud-integration/not-found"),
    NoSuchJob: Kind(404, "job/not-found"),
    JobFailed: Kind(409, "job/failed"),
    JobCancelled: Kind(409, "job/cancelled"),
    NotPossible: Kind(409, "job/not-possible"),
    UnknownName: Kind(404, "job/unknown-name"),
    KeyReused: Kind(422, "validation/idempotency-key-reused"),
    NoSuchAction: Kind(404, "action/not-found"),
    ActionOver: Kind(409, "action/not-possible"),
    TooManyActions: Kind(429, "action/too-many"),
    NotWatched: Kind(409, "alert/not-watched"),
    NotRolledUp: Kind(409, "analytics/not-rolled-up"),
    NoSuchMetric: Kind(404, "analytics/not-found"),
    NoSuchTenant: Kind(404, "tenant/not-found"),
    NoTenantGiven: Kind(400, "validation/invalid-input"),
    BadRange: Kind(400, "validation/invalid-input"),
    NoSuchSilence: Kind(404, "alert/not-found"),
    NoSuchArchive: Kind(404, "audit-archive/not-found"),
    NotRestorable: Kind(409, "audit-archive/not-restorable"),
    NoSuchHold: Kind(404, "audit-hold/not-found"),
    NoSuchAuditRule: Kind(404, "audit-rule/not-found"),
    ArchiveError: Kind(502, "audit-archive/unreadable"),
    ArchiveDown: Kind(503, "audit-archive/unavailable"),
    NotKeptUp: Kind(409, "upkeep/not-here"),
    UpkeepError: Kind(400, "validation/invalid-input"),
    NoSuchTemplate: Kind(404, "template/not-found"),
    NoSuchFileSource: Kind(404, "file-source/not-found"),
    FileSourceNotActive: Kind(409, "file-source/not-active"),
    BadSource: Kind(400, "validation/invalid-input"),
    NoSuchFile: Kind(404, "file/not-found"),
    NotInstalled: Kind(501, "server/not-installed"),
    UnknownSchedule: Kind(404, "cron/not-found"),
    NotScheduledHere: Kind(409, "cron/not-here"),
    UnknownWorker: Kind(404, "worker/not-found"),
    ConfigError: Kind(400, "validation/invalid-input"),
    BadArguments: Kind(400, "validation/invalid-input"),
    TooLarge: Kind(400, "validation/invalid-input"),
    QueueFull: Kind(429, "queue/full"),
    TooManyListen: Kind(429, "events/too-many"),
    UnknownProvider: Kind(404, "cloud-integration/provider-not-found"),
    ConnectRefused: Kind(404, "cloud-integration/tenant-not-found"),  # what a callback is refused, people see as a page
    ConnectDenied: Kind(409, "cloud-integration/denied"),
    ConnectFailed: Kind(502, "cloud-provider/no-tokens"),
    Gone: Kind(409, "cloud-integration/not-connected"),
    GrantRevoked: Kind(409, "cloud-integration/revoked"),
    NotNow: Kind(429, "cloud-provider/wait"),
    Busy: Kind(503, "cloud-integration/busy"),
    TokenError: Kind(502, "cloud-provider/bad-answer"),
    OperatorFault: Kind(502, "cloud-provider/refused-set-up"),
    ProviderDown: Kind(503, "cloud-provider/unavailable"),
    StoreError: Kind(503, "server/unavailable"),
    JournalError: Kind(503, "server/unavailable"),
    VaultError: Kind(500, "server/vault"),
}

PLAIN = {  # what the framework refuses, and how to put it right
    404: ("route/not-found", "there is no such path: check it."),
    405: ("route/method-not-allowed", "this path does not take that method: use another one."),
    TOO_LARGE: ("validation/too-large", "the body is larger than 64 KiB, or a batch of jobs than 1 MiB: send less."),
}


def kind_of(error: LamplighterError) -> Kind:
    """By the nearest of its classes."""
    return next(KINDS[base] for base in type(error).__mro__ if base in KINDS)


def plain_error(status: int) -> Response:
    """What the framework refuses."""
    code, message = PLAIN.get(status, ("validation/invalid-input", "the request cannot be read: check it."))
    return answers.error(status, code, message)


async def _foreseen(_request: Request, error: LamplighterError) -> Response:
    kind = kind_of(error)
    if kind.status >= 500:
        _log.warning("%s: %s", kind.code, error)
    return answers.error(kind.status, kind.code, str(error), headers=_what_then(error))


async def _refused(_request: Request, error: HTTPException) -> Response:
    return plain_error(error.status_code)


async def _invalid(_request: Request, error: RequestValidationError) -> Response:
    """Without what was sent, which may be a secret in the wrong place."""
    details = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
    return answers.error(
        400, "validation/invalid-input", "the request has values that cannot be: see the details.", details=details
    )


async def _unforeseen(_request: Request, _error: Exception) -> Response:
    return answers.error(*UNFORESEEN, "something went wrong here: try again, and if it stays so tell the operator.")


def _what_then(error: LamplighterError) -> dict[str, str]:
    """How to prove who one is; and when there is a moment to come back, in whole seconds."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="lamplighter"'}
    wait: timedelta | None = getattr(error, "retry_in", None) or getattr(error, "retry_after", None)
    return {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait.total_seconds())))}


HANDLERS: dict[Any, Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    LamplighterError: _foreseen,
    HTTPException: _refused,
    RequestValidationError: _invalid,
    Exception: _unforeseen,
}
