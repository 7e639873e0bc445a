"""What Alembic runs: the steps, on the connection that `lamplighter.integrations.storage.migrate` hands over."""

from __future__ import annotations

from alembic import context

from lamplighter.integrations.storage.migrate import options

context.configure(connection=context.config.attributes["connection"], **options())
with context.begin_transaction():
    context.run_migrations()
