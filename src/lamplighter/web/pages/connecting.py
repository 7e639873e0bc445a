"""`/integrations/connect`: a person connects a tenant, or connects it anew, and is sent to the provider for that.

They come back by the API's callback, so each provider knows one address of ours, however many places connect. It sends
them on to a page of the dashboard, which says what happened (`rendering`).
"""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.errors import ConfigError
from lamplighter.web.api import callback
from lamplighter.web.auth import Admission, Admitted, is_id
from lamplighter.web.bodies import Search
from lamplighter.web.forms import read_form
from lamplighter.web.given import Ours, integrating
from lamplighter.web.pages.integrations import AN_INTEGRATION
from lamplighter.web.pages.rendering import place, render
from lamplighter.web.roles import Right, needs

OFFERED = 200  # tenants: others are typed in
LONGEST_RETURN = 501  # characters of a path that the provider's answer leads on to

router = APIRouter()


@router.get("/integrations/connect")
@needs(Right.OWN)
async def ask_what_to_connect(
    request: Request,
    admitted: Admission,
    ours: Ours,
    *,
    tenant: Search = "",
    provider: Search = "",
) -> Response:
    """A form: which tenant, at which provider."""
    known = await ours.tenants.page(limit=OFFERED)
    return render(
        request,
        "connect.html",
        admitted.caller,
        providers=await ours.registrations.all(),
        tenants=[one for one in known if not one.archived],
        chosen={"tenant": tenant, "provider": provider},
    )


@router.post("/integrations/connect")
@needs(Right.OWN, notes="integration.connect")
async def connect(request: Request, admitted: Admission) -> Response:
    """Send the person to the provider, and then to what the tenant has connected."""
    form = await read_form(request)
    tenant, provider = form.get("tenant", "").strip(), form.get("provider", "")
    if not (is_id(tenant) and is_id(provider)):
        raise ConfigError("say which tenant, by its id, and which provider: go back, and fill in both.")
    admitted.metadata.update(tenant=tenant, provider=provider)
    path = f"integrations?{urlencode({'tenant': tenant})}"
    return await _leave(request, admitted, tenant, provider, path)


@router.post(f"{AN_INTEGRATION}/reconnect")
@needs(Right.OWN, notes="integration.reconnect")
async def reconnect(request: Request, admitted: Admission) -> Response:
    """Send the person to the provider, and then back to this integration, which that heals."""
    known = admitted.integration
    path = place("tenants", known.tenant_id, "integrations", known.id)
    return await _leave(request, admitted, known.tenant_id, known.provider_slug, path)


async def _leave(request: Request, admitted: Admitted, tenant_id: str, provider_slug: str, path: str) -> Response:
    """A page that leads to the provider at once: a form that is redirected to another site, our policy forbids."""
    ours = integrating(request).tokens.service
    callback_url = _callback_url(request)
    provider = await ours.registrations.get(provider_slug)
    begun = await ours.connections.begin(
        tenant_id,
        provider_slug,
        redirect_uri=callback_url,
        user_id=admitted.caller.user_id,
        return_to=_return_to(request, path),
    )
    page = render(
        request, "leaving.html", admitted.caller, url=begun.url.reveal(), where=provider.display_name, about=tenant_id
    )
    callback.remember(page, callback_url, begun.state, begun.browser)
    return page


def _callback_url(request: Request) -> str:
    """The API's, if this browser brings back there the cookie that it is given here.

    Raises:
        ConfigError: it does not, or nobody has said where that is.
    """
    url = integrating(request).callback_url
    if not url:
        raise ConfigError("this dashboard was not told where providers send browsers back: give it callback_url.")
    here, there = urlsplit(request.headers.get("Origin", "")).hostname, urlsplit(url).hostname
    if here is not None and here != there:
        raise ConfigError(f"providers send browsers back to {there}, so connect from there: this is {here}.")
    return url


def _return_to(request: Request, path: str) -> str:
    at = quote(request.scope.get("root_path", ""))
    whole = f"{at}/{path}"
    return whole if len(whole) <= LONGEST_RETURN else f"{at}/integrations"
