"""A Prometheus that scrapes what it is told to, every second, and answers queries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from lamplighter.testing.servers.base import HOST, PrivateServer, find

_open = build_opener(ProxyHandler({})).open  # it is on this machine, whatever proxy there is


class PrometheusServer(PrivateServer):
    """See `private_prometheus`."""

    name = "prometheus"

    def __init__(self, targets: Sequence[str], extra: str = "") -> None:
        self._program = find("prometheus", install="prometheus, for example by `apt-get install prometheus`")
        super().__init__()
        scraped = json.dumps([{"targets": list(targets)}])
        (self.folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            f"scrape_configs:\n  - job_name: lamplighter\n    static_configs: {scraped}\n{extra}"
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ask(self, query: str) -> dict[str, float]:
        """What a query of one moment finds: values, by the instance (and whatever else names them)."""
        with _open(f"{self.url}/api/v1/query?{urlencode({'query': query})}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in found}

    def _argv(self) -> Sequence[str]:
        return (
            str(self._program),
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address={HOST}:{self.port}",
        )

    def _is_ready(self) -> bool:
        try:
            with _open(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@contextmanager
def private_prometheus(targets: Sequence[str], extra: str = "") -> Iterator[PrometheusServer]:
    """It scrapes these (`host:port`), for as long as the block lasts. `extra`: YAML of more scrape configurations,
    and of what may follow them in the file.

    Raises:
        MissingServer: it is not on this machine.
    """
    with PrometheusServer(targets, extra).begin() as server:
        yield server
