"""The extras of the package: what each brings, and a sentence where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from lamplighter.core.errors import ConfigError

INTEGRATIONS = ("aiosmtplib", "alembic", "authlib", "cryptography", "css_inline", "httpx2", "jinja2", "sqlalchemy")
ANALYTICS = (*INTEGRATIONS, "ddsketch")
WEB = (*ANALYTICS, "argon2", "fastapi", "joserfc", "uvicorn")
EXTRAS = {
    "analytics": ANALYTICS,
    "integrations": INTEGRATIONS,
    "metrics": ("prometheus_client",),
    "demo": (*WEB, "starlette"),
    "web": WEB,
}


def has(extra: str) -> bool:
    """Whether all of an extra is installed."""
    return not _missing(extra)


def need(extra: str, what: str) -> None:
    """Go on only if all of an extra is installed.

    Raises:
        ConfigError: it is not.
    """
    if missing := _missing(extra):
        raise ConfigError(f"{what} needs {' and '.join(missing)}: run `pip install 'lamplighter[{extra}]'`.")


def _missing(extra: str) -> list[str]:
    return [name for name in EXTRAS[extra] if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False
