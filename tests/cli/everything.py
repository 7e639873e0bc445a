"""To be imported by the process that calls are forked from: it has read whatever a command may ask for."""

import importlib
import pkgutil

import lamplighter

for _module in pkgutil.walk_packages(lamplighter.__path__, "lamplighter."):
    if "migrations" not in _module.name:  # which Alembic reads in a way of its own
        importlib.import_module(_module.name)
