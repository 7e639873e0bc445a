"""The upkeep family: what is old is forgotten, and databases are kept well, a little each night."""

from __future__ import annotations

from lamplighter.families.upkeep.family import UpkeepFamily

__all__ = ["UpkeepFamily"]
