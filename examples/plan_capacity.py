"""Ask what a million integrations will do to a provider, before they are there: `python examples/plan_capacity.py`."""

from __future__ import annotations

from datetime import timedelta

from lamplighter.capacity import Crowd, Plan, simulate
from lamplighter.capacity.advice import advise


def main() -> None:
    crowd = Crowd(slug="gdrive", integrations=1_000_000, lifetime=timedelta(hours=1), limit=400, at_once=200, quota=500)
    plan = Plan(crowds=(crowd,), duration=timedelta(hours=12), concurrency=200)
    figures = simulate(plan).of("gdrive")
    print(
        f"needs {figures.needs_per_s:.0f}/s, at most {figures.peak_per_s:.0f}/s, {figures.latest / 60:.0f} minutes late"
    )
    advice = advise(plan, crowd, figures)
    for option in advice.options:
        print(f"{option.what}: {option.peak_per_s:,.0f}/s, the latest {option.latest / 60:.0f} minutes late")
    print(advice.says)


if __name__ == "__main__":
    main()
