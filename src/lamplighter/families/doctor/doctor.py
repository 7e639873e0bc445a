"""Looks at everything, in an order that goes on past what does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError, StoreDamaged, StoreError
from lamplighter.core.secret import redact_url
from lamplighter.engine.timekeeping import now_by
from lamplighter.families.doctor import jobs, machine
from lamplighter.families.doctor.finding import Checked, Findings
from lamplighter.store.base import Store
from lamplighter.store.migrate import Schema, refuse_unfit
from lamplighter.store.open import folder_of, open_store, schema_of

PATIENCE = 20.0  # seconds, for all that is asked of one store

More: TypeAlias = Mapping[str, Callable[[Store, datetime], Awaitable[Sequence[str]]]]
NONE: More = MappingProxyType({})


async def diagnose(settings: Settings, *, secrets_in: Sequence[Path] = (), more: More = NONE) -> list[Checked]:
    """Every check, with what is wrong and what to do. Changes and makes nothing; shows no secret.

    Args:
        secrets_in: files that hold secrets, beside those that Lamplighter makes.
        more: checks of the store by name, of who knows more than this package.

    Raises:
        ConfigError: the URL names no store that there is, or one that ends with its process.
    """
    schema = schema_of(settings.store)
    if schema is None:
        raise ConfigError("memory:// ends with its process, so there is nothing to see: name a store with --store.")
    found = Findings()
    await _look(found, settings.store, lambda: _jobs(found, settings, schema, more))
    folders = [one for one in (settings.folder or Path(), folder_of(settings.store)) if one is not None]
    files = list(secrets_in)
    if _has_tables():
        from lamplighter.families.doctor import service  # noqa: PLC0415 - optional

        kept = service.places(settings)
        folders, files = [*folders, *kept.folders], [*files, *kept.files]
        if kept.url is not None and not (found.is_wrong("store-trouble") and kept.url == settings.store):
            await _look(found, kept.url, lambda: service.look(found, settings))
        found.tell("mail", await service.mail(settings))
    found.tell("disk-nearly-full", machine.disk_nearly_full(folders))
    found.tell("permissions", machine.permissions(dict.fromkeys(files)))
    return found.all()


async def _look(found: Findings, url: str, look: Callable[[], Awaitable[None]]) -> None:
    """What keeps us from looking is a finding too."""
    try:
        async with asyncio.timeout(PATIENCE):
            await look()
    except TimeoutError:
        found.tell("store-trouble", [f"{redact_url(url)} has not answered within {PATIENCE:g} s: see that it is up."])
    except StoreDamaged as error:
        found.tell("schema", [str(error)])
    except StoreError as error:
        found.tell("store-trouble", [str(error)])
    except ConfigError as error:
        found.tell("server", [str(error)])
    except OSError as error:
        reason = error.strerror or type(error).__name__
        found.tell("store-trouble", [f"{redact_url(url)} cannot be looked at ({reason}): see that this user may."])


async def _jobs(found: Findings, settings: Settings, schema: Schema, more: More) -> None:
    found.tell("server", await schema.doubts())
    taken = await schema.taken()
    if not taken:
        hint = "correct the store URL, or run `lamplighter migrate`"
        raise StoreDamaged(f"there is nothing of Lamplighter in {schema.what}: {hint}.")
    refuse_unfit(schema.what, schema.steps, taken)
    found.tell("schema", ())
    async with open_store(settings.store) as store:
        now = await now_by(store)
        found.tell("clock", await machine.clock(store))
        seen = await jobs.look(store, now=now)
        for name, check in jobs.CHECKS.items():
            found.tell(name, check(seen))
        for name, ask in more.items():
            found.tell(name, await ask(store, now))


def _has_tables() -> bool:
    """Whether what integrations need is installed."""
    return find_spec("sqlalchemy") is not None and find_spec("cryptography") is not None
