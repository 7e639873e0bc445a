"""`lamplighter tenants`: whose jobs have how many turns."""

from __future__ import annotations

from typing import Annotated

import typer

from lamplighter.cli.noting import noted
from lamplighter.cli.opened import with_store
from lamplighter.cli.output import Json, StoreUrl, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.core.flow_control import TENANT, TenantRule
from lamplighter.core.limit import tenant_rule
from lamplighter.store.rules import read_rule, record_of

group = typer.Typer(cls=Noun, help="See and set how many turns each tenant has in queues.")

Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Which tenant.")]


@group.command("list")
def list_tenants(*, store: StoreUrl = None, json: Json = False) -> None:
    """List tenants that were given a weight; all others have a weight of 1."""
    records = with_store(store, lambda opened: opened.records(TENANT, now=utcnow()))
    weights = {record.name: read_rule(record.value, TenantRule).weight for record in records}
    if json:
        print_json({"weights": weights})
    else:
        print_table(("tenant", "weight"), list(weights.items()), empty="Every tenant has a weight of 1.")


@group.command()
def weigh(
    tenant: Tenant,
    weight: Annotated[int, typer.Argument(metavar="WEIGHT", help="1 to 100; others have 1.")],
    *,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Give a tenant so many times the turns of one of weight 1, in every queue, from the next claim on."""
    rule = tenant_rule(tenant, weight)
    noted(store, "tenant.weigh", tenant, lambda opened: opened.put(record_of(tenant, rule)), tenant=tenant)
    if json:
        print_json({"tenant": tenant, "weight": weight})
    else:
        say(f"Tenant {tenant} has a weight of {weight}.")
