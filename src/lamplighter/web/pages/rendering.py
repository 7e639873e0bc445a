"""How a page is made: its template, filled.

Nothing is inline, so the policy of `page_headers` allows no inline script or style; uPlot sets its styles from script,
which is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from lamplighter.core.duration import rough_duration
from lamplighter.families.files.marked import pieces
from lamplighter.web import answers
from lamplighter.web.given import given
from lamplighter.web.pages.tracebacks import read_traceback
from lamplighter.web.roles import RIGHTS, Caller

LONGEST_JSON = 20_000  # characters of arguments or a result that a page shows

NAV = (
    ("", "Overview"),
    ("alerts", "Alerts"),
    ("queues", "Queues"),
    ("jobs", "Jobs"),
    ("failures", "Failures"),
    ("crons", "Crons"),
    ("workers", "Workers"),
    ("limits", "Limits"),
    ("tenants", "Tenants"),
)
NAV_WITH_INTEGRATIONS = (
    ("integrations", "Integrations"),
    ("files", "Files"),
    ("notifications", "Notifications"),
    ("analytics", "Analytics"),
    ("audit", "Audit"),
    ("upkeep", "Upkeep"),
)

# What the page that follows an action says of it: an address names one of these, and brings no words of its own.
DID = {
    "connected": "Connected: from now on its tokens are kept alive.",
    "retried": "Queued again, with a clean slate.",
    "promoted": "Queued: it need not wait for its time any more.",
    "cancelled": "Cancelled. If it was running, it was asked to stop.",
    "deleted": "Deleted: nothing is known of the job any more.",
    "paused": "Paused: no worker takes jobs from this queue. Running jobs go on.",
    "resumed": "Going on: workers take jobs from this queue again.",
    "enqueued": "Enqueued: this is the new job.",
    "replaced": "Not added: this job waited under the same unique key, and goes on with what you wrote.",
    "key-held": "Not added: this job holds the unique key that the new one would have had.",
    "cron-paused": "Paused: its slots pass, and are not made up for.",
    "cron-resumed": "Going on: its next slot makes a job again.",
    "draining": "Asked to drain: it claims nothing more, finishes what it runs, and ends.",
    "opened": "The breaker is open: jobs of this key wait until you close it.",
    "closed": "The breaker is closed: jobs of this key go on.",
    "refreshed": "Refreshed: the integration has new tokens.",
    "checked": "Checked: this is what the provider said.",
    "under-way": "Under way: how far it is shows here.",
    "stopping": "Asked to stop: it ends after the jobs that it is at.",
    "source-paused": "Paused: nobody looks at this source. What is indexed stays, and is found.",
    "source-resumed": "Going on: the source is looked at again.",
    "source-asked": "Asked for: the source is looked at within seconds, if a worker runs.",
    "source-removed": "Removed: its files are found no more, and what was indexed of them is deleted.",
    "upkeep-asked": "Asked for: a worker does what is due within seconds, and what it does shows here.",
    "silenced": "Silenced: nobody is told of that until it is over, or you end it.",
    "unsilenced": "The silence has ended: what still fires is told.",
    "held": "Held: it is not destroyed until the hold is released.",
    "released": "Released: what it covered is destroyed when its time is over.",
    "rule-set": "Set: from now on these records are kept like that.",
    "rule-unset": "Unset: other rules count for these records now.",
    "restored": "Restored: copies are in the table until then, and are found there.",
    "preferred": "Set: from now on recipients hear of it like that.",
    "read": "Marked as read.",
    "nothing": "Nothing was changed: it has moved on meanwhile, or cannot be changed in that way.",
}
WENT_WRONG = {  # where the callback says so
    "denied": "Not connected: at the provider somebody said no.",
    "failed": "Not connected: the provider gave no tokens. The log of the API says why.",
    "refused": "Not connected: the answer did not come from the provider that was asked. Begin again.",
}
TOLD_IN = ("did", "connected", "connect_error")


def render(
    request: Request,
    template: str,
    caller: Caller | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **shown: Any,
) -> Response:
    """A page, for that caller."""
    at = request.scope.get("root_path", "")
    known = given(request)
    filled = _environment.get_template(template).render(
        at=at,
        here=f"{at}{request.scope['path'].removeprefix(at)}",
        query={key: value for key, value in request.query_params.items() if key not in TOLD_IN},
        caller=caller,
        has_door=request.app.state.has_door,
        may=frozenset() if caller is None else RIGHTS[caller.role],
        nav=NAV if known.integrating is None else NAV + NAV_WITH_INTEGRATIONS,
        connects=known.integrating is not None and bool(known.integrating.callback_url),
        now=known.app.clock(),
        did=_did(request.query_params),
        went_wrong=WENT_WRONG.get(request.query_params.get("connect_error", "")),
        **shown,
    )
    return HTMLResponse(filled, status, headers)


def _did(query: Mapping[str, str]) -> str | None:
    return DID["connected"] if "connected" in query else DID.get(query.get("did", ""))


def back(request: Request, path: str, did: str, **query: str) -> Response:
    """To a page of the dashboard, which then says what was done."""
    assert did in DID, "what was done has a sentence"
    return answers.see_other(f"{request.scope.get('root_path', '')}/{path}?{urlencode({**query, 'did': did})}")


def place(*parts: str) -> str:
    """A path of these parts, whatever is in them."""
    return "/".join(quote(part, safe="") for part in parts)


@pass_context
def _when(context: Context, moment: datetime | None) -> Markup:
    """A moment as people want to know it; the exact one is in its title, and for programs."""
    if moment is None:
        return Markup('<span class="none">&ndash;</span>')
    passed: timedelta = context["now"] - moment
    span = rough_duration(abs(passed))
    told = f"{span} ago" if passed >= timedelta() else f"in {span}"
    exact = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), exact, told)


def _number(value: int) -> str:
    return f"{value:,}"


def _json(text: str) -> str:
    """JSON laid out, cut where nobody would read on."""
    laid_out = msgspec.json.format(text, indent=2)
    if len(laid_out) <= LONGEST_JSON:
        return laid_out
    return f"{laid_out[:LONGEST_JSON]}\n… and {len(laid_out) - LONGEST_JSON:,} characters more"


def _lasting(duration: timedelta) -> str:
    """How long something took."""
    seconds = duration.total_seconds()
    return (
        f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 120 else rough_duration(duration)
    )


def _seconds(seconds: float | None) -> str:
    """How long something took; a dash where nothing did."""
    return Markup("&ndash;") if seconds is None else _lasting(timedelta(seconds=seconds))


def _broken(text: str) -> Markup:
    """A long name that may break where it has a joint."""
    return Markup("").join(Markup("{}<wbr>").format(part) for part in _parts(text)) if text else escape(text)


def _marked(text: str) -> Markup:
    """What matched a search, marked."""
    return Markup("").join(
        Markup("<mark>{}</mark>").format(one.text) if one.is_match else escape(one.text) for one in pieces(text)
    )


def _size(size: int) -> str:
    """Of a file, as people want to know it."""
    if size < 1000:
        return f"{size} B"
    value, unit = float(size), ""
    for unit in ("kB", "MB", "GB", "TB", "PB"):  # noqa: B007 - the one that it stops at is used
        value /= 1000
        if value < 1000:
            break
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def _parts(text: str) -> list[str]:
    for joint in "._:/-@":
        text = text.replace(joint, f"{joint}\0")
    return text.split("\0")


def _made() -> Environment:
    environment = Environment(
        loader=PackageLoader("lamplighter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "broken": _broken,
        "json": _json,
        "lasting": _lasting,
        "marked": _marked,
        "number": _number,
        "parsed": msgspec.json.decode,
        "place": place,
        "seconds": _seconds,
        "size": _size,
        "traceback": read_traceback,
        "when": _when,
    }
    return environment


_environment = _made()
