"""Tests that every store passes unchanged: one module for each operation, then races and a model.

To judge a store, give pytest two fixtures and this one import:

    from lamplighter.testing.conformance import *

    @pytest.fixture
    async def store(tmp_path): ...      # an opened, empty store

    @pytest.fixture
    def open_again(store): ...          # a function that makes another, unopened handle on the same place

Needs pytest, pytest-asyncio in its auto mode, and Hypothesis.
"""

from __future__ import annotations

from importlib import import_module

import pytest

OPERATIONS = (
    "add",
    "beat",
    "breakers",
    "cancel",
    "children",
    "claim",
    "ended",
    "finish",
    "forget",
    "full",
    "limits",
    "log",
    "model",
    "page",
    "pause",
    "prune",
    "races",
    "rates",
    "records",
    "replace",
    "retry",
    "shares",
    "stats",
    "sweep",
    "time",
    "trace",
    "unique",
    "wake",
)

_NAMES = [f"{__name__}.{operation}" for operation in OPERATIONS]


def _tests(module: str) -> dict[str, object]:
    return {name: value for name, value in vars(import_module(module)).items() if name.startswith("test_")}


pytest.register_assert_rewrite(*_NAMES)  # so that a failed assert of this package shows its values too
for _name in _NAMES:
    _found = _tests(_name)
    assert not _found.keys() & globals().keys(), f"{_name} has a test of the same name as another module: rename it."
    globals().update(_found)

__all__ = sorted(name for name in globals() if name.startswith("test_"))  # noqa: PLE0605 - gathered, not listed
