"""`/metrics`: for a worker process on a port of its own, answered by a thread, so that a blocked loop is seen there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from lamplighter.core.errors import ConfigError
from lamplighter.observe import families
from lamplighter.observe.meter import Meter
from lamplighter.observe.sight import Sight


class _Collector(Collector):
    def __init__(self, meter: Meter, sight: Sight | None) -> None:
        self._meter = meter
        self._sight = sight

    def collect(self) -> Iterator[Metric]:
        yield from families.of_process(self._meter)
        if self._sight is not None:
            yield from families.of_store(self._sight)


def registry_of(meter: Meter, sight: Sight | None = None) -> CollectorRegistry:
    """What a process shows: what it did, what it takes of its machine, and what it saw of the store, if it looked."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(meter, sight))
    ProcessCollector(registry=registry)
    return registry


def shown(meter: Meter, sight: Sight, *, accept: str = "") -> tuple[bytes, str]:
    """The text of a page of metrics, and its content type; `accept`: what whoever asks can read."""
    encode, content_type = choose_encoder(accept)
    return encode(registry_of(meter, sight)), content_type


@contextmanager
def exposed(meter: Meter, *, host: str, port: int) -> Iterator[int]:
    """Answer `GET /metrics` there for as long as the block lasts; the value is the port, which is free with port 0.

    Raises:
        ConfigError: the port cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=registry_of(meter))
    except OSError as error:
        raise ConfigError(
            f"metrics cannot be shown on {host} port {port} ({error.strerror}): choose another."
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
