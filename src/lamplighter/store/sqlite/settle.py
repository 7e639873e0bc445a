"""What the end of attempts means to their tenants and limits, and what gates are told to do."""

from __future__ import annotations

from collections.abc import Sequence

from lamplighter.core.flow_control import Order
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.lines import charge_time
from lamplighter.store.sqlite.moves import Moving

Ended = tuple[Moving, bool | None]  # a job as it ran, and whether it went well; None: that says nothing


def settle(flow: FlowControl, ended: Sequence[Ended], orders: Sequence[Order] = ()) -> None:
    """Jobs stopped running, and were moved already."""
    charge_time(flow, [job for job, _ in ended])
    flow.gates.settle([(job.limits, well) for job, well in ended if job.limits])
    obey(flow, orders)


def obey(flow: FlowControl, orders: Sequence[Order]) -> None:
    """Have gates do what they are told."""
    flow.gates.obey(orders)
    flow.gates.write()


def order(connection: Connection, orders: Sequence[Order], now: int) -> None:
    """See `base.Store.order`."""
    obey(FlowControl(connection, now), orders)
