"""How long the histories may take: three hundred of them, each some hundred calls to a server, on a busy machine."""

from __future__ import annotations

import pytest

PATIENCE = 400  # seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name.startswith("test_every_history_is_that_of_the_model"):
            item.add_marker(pytest.mark.timeout(PATIENCE))
