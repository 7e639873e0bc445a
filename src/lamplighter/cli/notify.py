"""`lamplighter notify`: what people can be told of, how they want to hear of it, in which words; try it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from lamplighter.cli.integrations import with_service
from lamplighter.cli.output import Json, StoreUrl, ago, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.core.clock import utcnow
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.integrations.notices.message import Message
    from lamplighter.integrations.notices.own_words import OwnWords
    from lamplighter.integrations.notices.preferences import Preference
    from lamplighter.integrations.notices.trial import Tried
    from lamplighter.integrations.notices.wording import Telling
    from lamplighter.integrations.service import Service

LARGEST_FILE = 65_536  # bytes of a template: more is refused by whoever checks it


class Events(Noun):
    """The noun alone lists events."""

    alone = "events"


group = typer.Typer(cls=Events, help="See and set how people hear of events; test it.")
templates = typer.Typer(cls=Noun, help="See and set a tenant's own words for events.")

Event = Annotated[str, typer.Argument(metavar="EVENT", help="Such as integration.revoked.")]
Of = Annotated[
    str | None,
    typer.Option("--tenant", "-t", metavar="TENANT", help="Of this tenant's recipients; otherwise of the operators'."),
]


@group.command("events")
def events(*, tenant: Of = None, store: StoreUrl = None, json: Json = False) -> None:
    """List events, and how people want to hear of each."""
    found = with_service(store, lambda service: service.preferences.all(tenant))
    if json:
        print_json({"events": [msgspec.to_builtins(one) for one in found]})
        return
    rows = [(one.event, "muted" if one.muted else one.digest) for one in found]
    print_table(("event", "told"), rows, empty="There are no events.")


@group.command("set")
def prefer(
    event: Event,
    *,
    tenant: Of = None,
    muted: Annotated[bool | None, typer.Option("--mute/--unmute", help="Whether to tell it at all.")] = None,
    digest: Annotated[str | None, typer.Option("--digest", metavar="HOW", help="immediate, hourly or daily.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Set how people want to hear of an event. In the application's list a tenant sees everything all the same."""

    async def act(service: Service) -> Preference:
        from lamplighter.integrations.notices.preferences import Preference  # noqa: PLC0415 - optional

        known = {one.event: one for one in await service.preferences.all(tenant)}
        before = known.get(event) or Preference(tenant_id=tenant, event=event)
        wanted = msgspec.structs.replace(
            before,
            muted=before.muted if muted is None else muted,
            digest=digest or before.digest,
        )
        await service.preferences.set(wanted)
        return wanted

    made = with_service(store, act)
    if json:
        print_json({"preference": msgspec.to_builtins(made)})
    else:
        say(f"{made.event}: {'muted' if made.muted else made.digest}.")


@group.command()
def preview(
    event: Event,
    *,
    tenant: Of = None,
    html: Annotated[bool, typer.Option("--html", help="The HTML of the mail instead of its text.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Show what a recipient would be sent of a sample."""

    async def read(service: Service) -> tuple[Message, Telling]:
        return await service.templates.preview(tenant, event)

    message, telling = with_service(store, read)
    from lamplighter.integrations.notices.wording import html_of  # noqa: PLC0415 - optional

    shown = {"subject": telling.subject, "text": telling.text, "html": html_of(message, telling)}
    if json:
        print_json(shown)
    else:
        say(shown["html"] if html else f"Subject: {telling.subject}\n\n{telling.text}")


@group.command("test")
def try_out(
    to: Annotated[str, typer.Argument(metavar="TO", help="A recipient's id, or an address.")],
    *,
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="CHANNEL", help="TO is an address: email or apprise.")
    ] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Send a message that says that it is a test, and say what came of it: by mail once through each server.

    Ends with 1 if one did not get through.
    """
    settings = load(flags={"store": store}).settings

    async def act(service: Service) -> list[Tried]:
        from lamplighter.integrations.notices import trial  # noqa: PLC0415 - optional

        if channel is not None or "@" in to:
            way = channel or "email"
            return await trial.to_address(way, to, settings, utcnow)  # type: ignore[arg-type]  # checked there
        return await trial.to_recipient(to, service.recipients, service.vault, settings, utcnow)

    tried = with_service(store, act)
    if json:
        print_json({"tried": [one._asdict() for one in tried]})
    else:
        for one in tried:
            say(f"{one.way}: {one.to}: {one.failure or 'sent.'}")
    if any(one.failure for one in tried):
        raise typer.Exit(1)


@templates.command("list")
def list_templates(*, tenant: Of = None, store: StoreUrl = None, json: Json = False) -> None:
    """List events that have other words than the shipped ones, and where those failed."""
    found = with_service(store, lambda service: service.templates.all(tenant))
    if json:
        print_json({"templates": [msgspec.to_builtins(one) for one in found]})
        return
    rows = [(one.event, _parts(one), ago(one.updated_at), ago(one.failed_at), one.failure) for one in found]
    print_table(("event", "own", "set", "failed", "why"), rows, empty="All words are the shipped ones.")


@templates.command("set")
def set_template(
    event: Event,
    *,
    tenant: Of = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="TEXT", help="A template of one line.")] = None,
    text: Annotated[Path | None, typer.Option("--text", metavar="FILE", help="Of the plain text.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Of the HTML of a mail.")] = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Say it in these words from now on, in place of those before. They are tried on a sample first."""

    async def act(service: Service) -> OwnWords:
        from lamplighter.integrations.notices.own_words import OwnWords  # noqa: PLC0415 - optional

        words = OwnWords(tenant_id=tenant, event=event, subject=subject, text=_read(text), html=_read(html))
        await service.templates.set(words)
        return words

    made = with_service(store, act)
    if json:
        print_json({"template": msgspec.to_builtins(made)})
    else:
        say(f"{made.event}: its {_parts(made)} is said in these words from now on.")


@templates.command("remove")
def remove_template(event: Event, *, tenant: Of = None, store: StoreUrl = None, json: Json = False) -> None:
    """Go back to the shipped words. Ends with 1 if there are no others."""
    was_there = with_service(store, lambda service: service.templates.remove(tenant, event))
    if json:
        print_json({"removed": was_there})
    else:
        say(f"{event}: {'back to' if was_there else 'it has none but'} the shipped words.")
    if not was_there:
        raise typer.Exit(1)


def _parts(words: OwnWords) -> str:
    return ", ".join(part for part in ("subject", "text", "html") if getattr(words, part) is not None)


def _read(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__}): give a file of UTF-8 text.") from None


group.add_typer(templates, name="templates")
