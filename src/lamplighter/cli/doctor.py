"""`lamplighter doctor`: what is wrong, and what to do, under the names that alerts and runbooks have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from lamplighter.cli.extras import has
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, ago, count, print_json, say
from lamplighter.core.config import Loaded, load
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from lamplighter.families.doctor import Checked

ENDS_SOON = timedelta(days=7)
ENDED_LATELY = timedelta(days=7)  # one that is over for longer is missed by nobody
MOST_TOLD = 10  # lines of one name
SECRETS = ("store", "database", "encryption_keys", "mwap_encryption_key", "smtp_url")


def doctor(*, store: StoreUrl = None, json: Json = False) -> None:
    """Find out what is wrong, and what to do.

    It looks at the store, workers, schedules, breakers, tokens and their keys, disk and set-up, and changes nothing.
    Each line begins with the name of a runbook. Ends with 1 if something is wrong.
    """
    from lamplighter.families.doctor import diagnose  # noqa: PLC0415 - `--help` need not wait for it

    loaded = load(flags={"store": store})
    more = {"api-keys": api_keys} if has("web") else {}
    checked = run_async(diagnose(loaded.settings, secrets_in=_secret_files(loaded), more=more))
    wrong = [one for one in checked if one.state == "wrong"]
    if json:
        print_json({"well": not wrong, "checks": [msgspec.to_builtins(one) for one in checked]})
    else:
        _tell(checked, wrong)
    if wrong:
        raise typer.Exit(1)


async def api_keys(store: Store, now: datetime) -> Sequence[str]:
    """Keys of programs that were let in until lately, or will not be soon."""
    from lamplighter.web.signin.keys import Keys  # noqa: PLC0415 - optional

    def is_near(end: datetime) -> bool:
        return now - ENDED_LATELY < end < now + ENDS_SOON

    return [
        f"API key {key.id} ({key.name}) {'expired' if key.expires_at <= now else 'expires'} {ago(key.expires_at)}: "
        f"make another with `lamplighter keys create`, then `lamplighter keys revoke {key.id}`."
        for key, _ in await Keys(store, clock=lambda: now).all()
        if key.revoked_at is None and key.expires_at is not None and is_near(key.expires_at)
    ]


def _tell(checked: Sequence[Checked], wrong: Sequence[Checked]) -> None:
    for one in wrong:
        for sentence in one.says[:MOST_TOLD]:
            say(f"{one.name} ({one.severity}): {sentence}")
        if len(one.says) > MOST_TOLD:
            say(f"{one.name} ({one.severity}): and {len(one.says) - MOST_TOLD:,} more, which --json tells.")
    unknown = [one.name for one in checked if one.state == "unknown"]
    if unknown:
        say(f"Not looked at, for it is not in use or out of reach: {', '.join(unknown)}.")
    well = len(checked) - len(wrong) - len(unknown)
    say(
        f"{count(well, 'check')} well, {len(wrong)} not."
        + (" Each name has a runbook: docs/runbooks." if wrong else "")
    )


def _secret_files(loaded: Loaded) -> list[Path]:
    """The file of the settings, if a secret came from there."""
    return [
        Path(source.removeprefix("file "))
        for key in SECRETS
        if (source := loaded.sources.get(key, "")).startswith("file ") and _has_secret(loaded, key)
    ]


def _has_secret(loaded: Loaded, key: str) -> bool:
    """A URL has one if it is not shown as it is."""
    value = getattr(loaded.settings, key)
    return not isinstance(value, str) or value != loaded.settings.shown()[key]
