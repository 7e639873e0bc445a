"""How the program reads: commands under headings, a noun alone that lists, mistypings answered in one sentence."""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperGroup

from lamplighter.core.errors import ConfigError

# The base of everything that typer raises about a command line; typer exports no other name for it.
UsageError: Any = typer.BadParameter.__mro__[1]

SECTIONS = {
    "Run": ("up", "work", "web"),
    "Look and mend": (
        "doctor",
        "jobs",
        "queues",
        "limits",
        "tenants",
        "crons",
        "workers",
        "integrations",
        "files",
        "analytics",
        "audit",
        "upkeep",
        "alerts",
        "notify",
    ),
    "Set up": ("keys", "admin", "config", "migrate", "bench", "verify", "simulate", "version"),
}


class Group(TyperGroup):
    """Commands whose first sentences are never cut short."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of that name, or one sentence about the name."""
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name, self.commands, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.list_commands(ctx))}."
        raise ConfigError(f"{ctx.command_path} has no command {name!r:.60}: {hint}")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Every command with its first sentence, under its heading."""
        names = self.list_commands(ctx)
        width = max(map(len, names)) + 2  # the same in every section, so that they line up
        for title, members in self.sections(names).items():
            rows = [(name.ljust(width - 2), self.commands[name].get_short_help_str(limit=1000)) for name in members]
            with formatter.section(title):
                formatter.write_dl(rows)

    def sections(self, names: list[str]) -> dict[str, tuple[str, ...]]:
        """Headings, and what is under each."""
        return {"Commands": tuple(names)}


class Program(Group):
    """The program itself. Alone it shows its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What people try first means what they expect."""
        if not args and not ctx.resilient_parsing:
            args = ["--help"]
        return super().parse_args(ctx, ["version"] if args == ["--version"] else args)

    def sections(self, names: list[str]) -> dict[str, tuple[str, ...]]:
        """By what one wants."""
        assert {name for members in SECTIONS.values() for name in members} == set(names)
        return SECTIONS


class Noun(Group):
    """The commands of a noun; the noun alone, or followed by options, lists."""

    alone = "list"
    """The command that is meant where none is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`jobs --state failed` is `jobs list --state failed`."""
        asks_help = args[:1] and args[0] in ctx.help_option_names
        if not ctx.resilient_parsing and not asks_help and (not args or args[0].startswith("-")):
            self._refuse_a_late_command(ctx, args)
            args = [self.alone, *args]
        return super().parse_args(ctx, args)

    def _refuse_a_late_command(self, ctx: Any, args: list[str]) -> None:
        """`queues --store URL pause q` would else be a list with words too many."""
        for before, word in pairwise(args):
            is_value = before.startswith("-") and before != "--json"
            if word in self.commands and not is_value:
                raise ConfigError(f"options come after the command: write `{ctx.command_path} {word}` first.")

    def list_commands(self, ctx: Any) -> list[str]:
        """The one that is meant where none is given comes first."""
        return sorted(super().list_commands(ctx), key=lambda name: name != self.alone)


def usage_sentence(error: Any) -> str:
    """What was wrong with a command line, and what to do."""
    page = f"`{error.ctx.command_path} --help`" if error.ctx else "`lamplighter --help`"
    if hasattr(error, "possibilities"):
        hint = f"did you mean {error.possibilities[0]}?" if error.possibilities else f"see {page}."
        return f"there is no option {error.option_name}: {hint}"
    if (param := getattr(error, "param", None)) is not None and error.message:
        return f"{_called(param)} {_wanted(param, error.message)}"
    return f"{error.format_message().rstrip('.')}: see {page}."


def _called(param: Any) -> str:
    return max(param.opts, key=len) if param.opts[0].startswith("-") else str(param.metavar or param.name)


def _wanted(param: Any, message: str) -> str:
    least, most = getattr(param, "min", None), getattr(param, "max", None)
    if least is not None and most is not None:
        return f"is not usable: give a number from {least:,} to {most:,}."
    return f"is not usable: {message.removeprefix('Value error, ').rstrip('.')}."
