"""The public names, and what is said about a wrong one."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import lamplighter
from lamplighter import App, ConfigError, Ctx, UnknownJob
from lamplighter.core.config import Settings

C = Ctx[None]


@pytest.mark.parametrize("name", ["lamplighter", "lamplighter.app", "lamplighter.testing"])
def test_public_names_are_sorted_and_can_be_had(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)


def test_every_error_can_be_imported_from_the_top() -> None:
    from lamplighter.core import errors

    assert {name for name in vars(errors) if isinstance(vars(errors)[name], type)} <= set(lamplighter.__all__)


def test_the_fake_clock_needs_no_test_framework() -> None:
    code = "import sys, lamplighter.testing; sys.exit('pytest' in sys.modules or 'hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_option_is_refused_with_the_one_that_was_meant() -> None:
    app = App("memory://", settings=Settings())
    with pytest.raises(ConfigError, match=r"jobs have no option 'queu': did you mean 'queue'\?"):
        app.job(queu="tokens")  # type: ignore[call-arg]

    @app.job()
    async def light(ctx: C) -> None: ...

    with pytest.raises(ConfigError, match=r"no option 'priorty': did you mean 'priority'\?"):
        light.using(priorty=5)  # type: ignore[call-arg]
    with pytest.raises(UnknownJob, match=r"there is no job 'ligth' in this app: did you mean 'light'\?"):
        app._registry.get("ligth")


def test_a_decorator_without_parentheses_is_refused_at_once() -> None:
    app = App("memory://", settings=Settings())
    with pytest.raises(ConfigError, match=r"write @app\.job\(\) with parentheses"):

        @app.job  # type: ignore[arg-type]
        async def light(ctx: C) -> None: ...
