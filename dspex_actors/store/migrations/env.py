"""How alembic runs a migration: on the connection it is handed, in that connection's transaction, without logging."""

from __future__ import annotations

from alembic import context

from dspex_actors.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
