"""What axe-core objects to on a page: what keeps people out of it."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page
from tests.counterparts.npm import HERE, install_once

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def objections(page: Page) -> list[str]:
    """One sentence for each."""
    install_once()
    await page.evaluate((HERE / "node_modules" / "axe-core" / "axe.min.js").read_text())
    report: dict[str, Any] = await page.evaluate(f"axe.run({json.dumps({'runOnly': RULES})})")
    return [
        f"{one['id']}: {node['html'][:150]}: {node['failureSummary'][:300]}"
        for one in report["violations"]
        for node in one["nodes"]
    ]
