"""What goes wrong in the demo world, and when: data that the script, the command line and the operator share."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9._@-]{1,64}$")]


class Outage(msgspec.Struct, frozen=True, kw_only=True, tag="outage", forbid_unknown_fields=True):
    """The provider's token endpoint and drive answer `status` for so many seconds, with a `Retry-After` (seconds)."""

    provider: Name
    seconds: Seconds  # 0 ends an outage
    status: Annotated[int, Meta(ge=400, le=599)] = 503
    retry_after: Annotated[int, Meta(ge=0, le=3600)] | None = 2


class Revocation(msgspec.Struct, frozen=True, kw_only=True, tag="revocation", forbid_unknown_fields=True):
    """The user withdraws every consent given so far at the provider. A later consent is a new one."""

    provider: Name
    user: Name


Fault = Outage | Revocation


class Cue(NamedTuple):
    """A fault and its moment, in seconds after the world started."""

    at: Seconds
    fault: Fault


# Timed for the usual lifetimes: tokens of 30 s are refreshed after 10 to 14 s, so both are seen, and none need lapse.
FAULTS = (
    Cue(9, Outage(provider="stormy-drive", seconds=7)),
    Cue(12, Revocation(provider="lantern-drive", user="goran")),
)
