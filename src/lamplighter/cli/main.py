"""The program: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lamplighter.cli import bench, config, crons, integrations, jobs, migrate, queues, up, work, workers
from lamplighter.cli.output import fail
from lamplighter.core.errors import ConfigError, LamplighterError, StoreError

EXIT_CODES = """Exit codes: 0 done, 1 it ran but the outcome is not good, 2 wrong usage or configuration,
3 the store cannot be reached or read."""

cli = typer.Typer(
    name="lamplighter",
    help="Background jobs for multi-tenant back ends, and cloud tokens refreshed before they expire.\n\n" + EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cli.command("up")(up.up)
cli.command("work")(work.work)
cli.add_typer(jobs.group, name="jobs")
cli.add_typer(queues.group, name="queues")
cli.add_typer(crons.group, name="crons")
cli.add_typer(workers.group, name="workers")
cli.add_typer(integrations.group, name="integrations")
cli.command("migrate")(migrate.migrate)
cli.command("config")(config.config)
cli.command("bench")(bench.bench)


@cli.command()
def version(*, json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say which Lamplighter this is."""
    config.show_version(json=json)


def main() -> None:
    """Run a command; every error of ours is one sentence on stderr."""
    try:
        cli()
    except LamplighterError as error:
        sys.exit(fail(str(error), _code_of(error)))
    except BrokenPipeError:
        sys.exit(0)  # whoever read us has seen enough


def _code_of(error: LamplighterError) -> int:
    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, StoreError) else 1


if __name__ == "__main__":
    main()
