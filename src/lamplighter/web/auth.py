"""Who may do what: decided here, for all routes.

`admit` stands before every route but the provider's callback. It goes by what the route needs (`roles`) and by its path
alone, so that no route can forget it: a `tenant_id` there has to be one of the caller's, an `integration_id` one of
that tenant's, and a `job_id` one of a tenant whose jobs the caller sees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request

from lamplighter.core.errors import LamplighterError
from lamplighter.core.model import JobView, Where
from lamplighter.integrations.audit import Actor, Resource, acting
from lamplighter.integrations.integration import Integration
from lamplighter.web.given import given, integrating
from lamplighter.web.roles import Caller, Needs, Role, needs_of

LONGEST_ID = 200  # characters


class Unauthorized(LamplighterError):
    """Nobody knows who calls."""


class Forbidden(LamplighterError):
    """The caller is known, and may not do that."""


class NotFound(LamplighterError):
    """There is no such integration of that tenant, whether or not another has it."""


class NoSuchJob(LamplighterError):
    """There is no such job for the caller, whether or not another sees it."""


class Admitted(NamedTuple):
    """Who calls, and the integration or job that the path names."""

    caller: Caller
    named_integration: Integration | None
    named_job: JobView | None
    metadata: dict[str, Any]  # what else the audit record of this request tells

    @property
    def integration(self) -> Integration:
        """For routes whose path names one."""
        assert self.named_integration is not None, "the path of this route has an integration_id"
        return self.named_integration

    @property
    def job(self) -> JobView:
        """For routes whose path names one."""
        assert self.named_job is not None, "the path of this route has a job_id"
        return self.named_job


async def admit(request: Request) -> AsyncIterator[Admitted]:
    """Let the request through if its caller may do that; what it does is the caller's doing."""
    caller = await given(request).identify(request)
    if caller is None:
        raise Unauthorized("nobody is signed in: sign in, or send what proves who you are.")
    tenant_id, integration_id, job_id = map(request.path_params.get, ("tenant_id", "integration_id", "job_id"))
    needs = _needs(request)
    _check(caller, needs, tenant_id, is_of_job=job_id is not None)
    integration = None if integration_id is None else await _integration(request, tenant_id, integration_id)
    job = None if job_id is None else await _job(request, caller, job_id)
    with acting(_actor(request, caller.user_id)):
        async with _noting(request, needs.noted(caller), integration, job) as metadata:
            yield Admitted(caller, integration, job, metadata)


async def pass_by(request: Request) -> AsyncIterator[None]:
    """For the callback, which a browser comes to from elsewhere: state and cookie say whose answer it brings."""
    with acting(_actor(request, Actor().user_id)):
        yield


ADMIT = Depends(admit, scope="function")  # so that it is noted what was done before that is answered
Admission = Annotated[Admitted, ADMIT]


async def admit_staff(admitted: Admission) -> None:
    """For the dashboard, every page of which shows everybody's work."""
    if admitted.caller.role is Role.TENANT:
        raise Forbidden("the dashboard shows everybody's work, which a tenant does not see: ask the operator.")


def check_token_reader(caller: Caller) -> None:
    """Raises Forbidden if the caller may have no access tokens."""
    if not caller.may_read_tokens:
        raise Forbidden("access tokens are for services that were allowed to read them: ask the operator.")


def visible_tenants(caller: Caller, tenant_id: str | None) -> Collection[str] | None:
    """Whose things the caller may see, of those of one tenant if it asks for that; None: everybody's.

    Raises:
        Forbidden: none at all.
    """
    if tenant_id is not None:
        _check_tenant(caller, tenant_id)
        return [tenant_id]
    if caller.role is not Role.TENANT:
        return None
    if not caller.tenants:  # none must not be taken for all
        raise Forbidden("you act for no tenant: ask a superadmin to give you one.")
    return sorted(caller.tenants)


def _needs(request: Request) -> Needs:
    needs = needs_of(request.scope["endpoint"])
    assert needs is not None, f"{request.method} {request.url.path} does not say what it needs"
    return needs


def _check(caller: Caller, needs: Needs, tenant_id: str | None, *, is_of_job: bool) -> None:
    if not caller.has(needs.right):
        raise Forbidden(f"the role {caller.role} may not do that: ask a superadmin.")
    if tenant_id is not None:
        _check_tenant(caller, tenant_id)
    elif caller.role is Role.TENANT and not (needs.sorts or is_of_job):
        raise Forbidden("this is about everybody's work, which a tenant does not see: ask the operator.")


def _check_tenant(caller: Caller, tenant_id: str) -> None:
    if not caller.sees(tenant_id) or not is_id(tenant_id):
        raise Forbidden("this tenant is not yours: ask its owner, or a superadmin.")


async def _integration(request: Request, tenant_id: str | None, integration_id: str) -> Integration:
    service = integrating(request).tokens.service
    found = await service.integrations.get(integration_id) if is_id(integration_id) else None
    if found is None or found.tenant_id != tenant_id:
        raise NotFound("the tenant has no such integration: list its integrations to find their ids.")
    return found


async def _job(request: Request, caller: Caller, job_id: str) -> JobView:
    found = await given(request).app.store.page(Where(ids=(job_id,)), limit=1) if is_id(job_id) else []
    if not found or not caller.sees(found[0].tenant):
        raise NoSuchJob("there is no such job (any more): list jobs to find their ids.")
    return found[0]


def _noting(
    request: Request, action: str | None, integration: Integration | None, job: JobView | None
) -> AbstractAsyncContextManager[dict[str, Any]]:
    """The audit record of this request; none where the app keeps no such log."""
    found = given(request).integrating
    if action is None or found is None:
        return nullcontext({})
    return found.tokens.service.audit.noting(action, _resource(action, request.path_params, integration, job))


def _resource(action: str, named: Mapping[str, str], integration: Integration | None, job: JobView | None) -> Resource:
    """What the path is about: the last that it names, or many."""
    if integration is not None:
        return integration.resource
    if job is not None:
        return Resource("job", job.id, job.tenant)
    last = list(named.values())[-1] if named else "many"
    return Resource(action.partition(".")[0], last[:LONGEST_ID], named.get("tenant_id"))


async def note_session(request: Request, verb: str, user_id: str, *, refused: str | None = None) -> None:
    """Who signed in (`begin`) or out (`end`), or could not, is in the audit log, where the app keeps one."""
    found = given(request).integrating
    if found is not None:
        with acting(_actor(request, user_id)):
            session = Resource("session", user_id[:LONGEST_ID], None)
            await found.tokens.service.audit.add(f"session.{verb}", session, error_message=refused)


def is_id(text: str) -> bool:
    """Whether something could have that id."""
    return 0 < len(text) <= LONGEST_ID and text.isprintable()


def _actor(request: Request, user_id: str) -> Actor:
    return Actor(
        user_id=user_id,
        method=request.method,
        endpoint=request.url.path,  # without the query: the callback's holds a code
        user_agent=request.headers.get("User-Agent"),
        ip_address=request.client and request.client.host,
    )
