"""The program: its commands, and what becomes of errors."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

import typer

from lamplighter.cli import (
    admin,
    alerts,
    analytics,
    audit,
    audit_archives,
    audit_keeping,
    bench,
    config,
    crons,
    dead,
    doctor,
    fairness,
    file_sources,
    file_status,
    files,
    imports,
    integrations,
    job_logs,
    jobs,
    keys,
    limits,
    migrate,
    move,
    notify,
    operate,
    providers,
    queues,
    recipients,
    refresh,
    simulate,
    tenants,
    up,
    upkeep,
    verify,
    web,
    why,
    work,
    workers,
)
from lamplighter.cli.output import fail, print_json, wants_json
from lamplighter.cli.program import Program, UsageError, usage_sentence
from lamplighter.core.errors import ConfigError, LamplighterError, StoreError

EXIT_CODES = """Exit codes: 0 done, 1 it ran but the outcome is not good, 2 wrong usage or configuration,
3 the store cannot be reached or read."""

cli = typer.Typer(
    name="lamplighter",
    cls=Program,
    help="Background jobs for multi-tenant back ends, and cloud tokens refreshed before they expire.\n\n" + EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cli.command("up")(up.up)
cli.command("work")(work.work)
cli.command("web")(web.web)
jobs.group.command("dead")(dead.dead)
jobs.group.command("logs")(job_logs.logs)
jobs.group.command("why")(why.why)
jobs.group.command("move")(move.move)
crons.group.command("why")(why.why_cron)
integrations.group.command("check")(operate.check)
integrations.group.command("disconnect")(operate.disconnect)
integrations.group.command("audit")(operate.audit)
integrations.group.command("import")(imports.import_)
integrations.group.command("providers")(providers.providers)
integrations.group.command("register")(providers.register)
cli.add_typer(jobs.group, name="jobs")
cli.add_typer(queues.group, name="queues")
cli.add_typer(limits.group, name="limits")
cli.add_typer(tenants.group, name="tenants")
cli.add_typer(analytics.group, name="analytics")
cli.add_typer(crons.group, name="crons")
cli.add_typer(workers.group, name="workers")
integrations.group.add_typer(recipients.group, name="recipients")
cli.add_typer(integrations.group, name="integrations")
files.group.command("status")(file_status.status)
files.group.add_typer(file_sources.group, name="sources")
cli.add_typer(files.group, name="files")
audit.group.command("archive")(audit_archives.archive)
audit.group.command("archives")(audit_archives.archives)
audit.group.command("restore")(audit_archives.restore)
audit.group.command("export")(audit_archives.export)
audit.group.command("hold")(audit_keeping.hold)
audit.group.command("holds")(audit_keeping.holds)
audit.group.command("release")(audit_keeping.release)
audit.group.command("retention")(audit_keeping.retention)
cli.add_typer(audit.group, name="audit")
cli.add_typer(upkeep.group, name="upkeep")
cli.add_typer(alerts.group, name="alerts")
cli.add_typer(notify.group, name="notify")
cli.add_typer(keys.group, name="keys")
cli.add_typer(admin.group, name="admin")
cli.command("migrate")(migrate.migrate)
cli.command("config")(config.config)
cli.command("doctor")(doctor.doctor)
bench.group.command("fairness")(fairness.fairness)
bench.group.command("refresh")(refresh.refresh)
cli.add_typer(bench.group, name="bench")
cli.command("verify")(verify.verify)
cli.command("simulate")(simulate.simulate)
cli.command("version")(config.show_version)


# New objects before each collection, and how many collections go before one of an older generation. Nearly all that a
# job leaves behind is freed as soon as it is let go of; with Python's 700 a fifth of a busy worker's time went to
# looking through what is alive.
COLLECT_AFTER = (50_000, 20, 100)


def main() -> NoReturn:
    """Run a command; every error of ours is one sentence on stderr."""
    gc.set_threshold(*COLLECT_AFTER)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name with an accent, on ASCII
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        _go_quietly()
    sys.exit(code)


def _run() -> int:
    try:
        return cli(standalone_mode=False) or 0
    except LamplighterError as error:
        return fail(str(error), _code_of(error))
    except UsageError as error:
        return fail(usage_sentence(error), 2)
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # typer's way with it
            raise left.__context__ from None
        raise
    except Exception as error:
        if wants_json() and not isinstance(error, BrokenPipeError):
            print_json({"error": f"{type(error).__name__}: {error}"})
        raise


def _code_of(error: LamplighterError) -> int:
    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, StoreError) else 1


def _go_quietly() -> NoReturn:
    """Whoever read us has seen enough. What is still buffered goes nowhere, or Python complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


if __name__ == "__main__":
    main()
