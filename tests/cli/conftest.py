from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cli.program import Program
from tests.cli.shop import Shop, make


@pytest.fixture
def cli(tmp_path: Path) -> Program:
    """The program in an empty folder."""
    return Program(tmp_path)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """An open app on shop.db of the folder, where its module and the settings that name the file lie too."""
    shutil.copy(Path(__file__).with_name("shop.py"), tmp_path / "shop.py")
    (tmp_path / "lamplighter.toml").write_text('store = "sqlite:///shop.db"\n')
    made = make(f"sqlite:///{tmp_path}/shop.db")
    async with made.app:
        yield made
