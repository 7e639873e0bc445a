"""Why a route does not do what was asked."""

from __future__ import annotations

from lamplighter.core.errors import LamplighterError


class UnknownName(LamplighterError):
    """The app has no job of that name."""


class KeyReused(LamplighterError):
    """The idempotency key was used for something else."""


class NotPossible(LamplighterError):
    """The job is not in a state in which that can be done to it."""


class NoSuchAction(LamplighterError):
    """There is no such action (any more)."""


class ActionOver(LamplighterError):
    """The action has come to its end already."""


class TooManyActions(LamplighterError):
    """This process is busy with as many actions as it takes on."""


class NotWatched(LamplighterError):
    """Nobody looks for what is to be alerted of."""


class NotRolledUp(LamplighterError):
    """The app does not add up what happens."""


class NoSuchMetric(LamplighterError):
    """Nothing of that name was ever added up."""


class NoTenantGiven(LamplighterError):
    """It has to be said of which tenant."""


class NoSuchTenant(LamplighterError):
    """Nobody knows a tenant of that id."""


class NoSuchSilence(LamplighterError):
    """There is no such silence (any more)."""


class NotKeptUp(LamplighterError):
    """The app has no jobs that keep databases up."""


class NotInstalled(LamplighterError):
    """What was asked for needs an extra that is not installed."""


class NoSuchArchive(LamplighterError):
    """There is no such archive of the audit log (any more)."""


class NoSuchHold(LamplighterError):
    """There is no such hold in force."""


class NoSuchAuditRule(LamplighterError):
    """There is no rule about how long those records are kept."""


class NoSuchTemplate(LamplighterError):
    """The tenant has no words of its own for that event."""


class NoSuchFileSource(LamplighterError):
    """There is no such source of that tenant, whether or not another has it."""


class FileSourceNotActive(LamplighterError):
    """The source is not looked at, so it cannot be looked at now."""


class NoSuchFile(LamplighterError):
    """There is no such file of that tenant, whether or not another has it."""
