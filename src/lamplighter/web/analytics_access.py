"""What routes about analytics have in common: what is asked for, and of whom the caller may ask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query

from lamplighter.families.analytics.level import ALL
from lamplighter.families.analytics.reading import Reading
from lamplighter.integrations.measuring.metric import LONGEST_NAME, BadMetric, Metric
from lamplighter.web.auth import LONGEST_ID, Forbidden, visible_tenants
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.refusals import NoSuchMetric, NoTenantGiven
from lamplighter.web.roles import Caller, Role

MetricName = Annotated[str, Path(max_length=LONGEST_NAME, pattern=PRINTABLE)]
TenantName = Annotated[str, Query(max_length=LONGEST_ID, pattern=PRINTABLE)]
Moment = Annotated[datetime | None, Query()]


async def metric_named(reading: Reading, name: str) -> Metric:
    """Raises NoSuchMetric."""
    try:
        return await reading.metric(name)
    except BadMetric as error:
        raise NoSuchMetric(str(error)) from None


def whose(caller: Caller, tenant: str) -> str:
    """Whose figures are shown: of that tenant; without one, of all, or of the only one that the caller acts for.

    Raises:
        Forbidden: that tenant is not the caller's.
        NoTenantGiven: the caller acts for several.
    """
    seen = visible_tenants(caller, tenant or None)
    if seen is None:
        return ALL
    if len(seen) > 1:
        raise NoTenantGiven("you act for several tenants: give one as `tenant`.")
    [one] = seen
    if one == ALL and caller.role is Role.TENANT:  # whatever its host calls tenants
        raise Forbidden("this is about everybody's work, which a tenant does not see: ask the operator.")
    return one
