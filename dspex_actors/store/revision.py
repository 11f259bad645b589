"""Which schema a store has, and bringing an older one up to this program's.

Alembic is imported only when there is something to migrate: an up-to-date store opens without it.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from dspex_actors.errors import StoreUnavailable
from dspex_actors.store.schema import REVISION


def found(connection: Connection) -> str | None:
    """The schema's revision; None in a database without one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if revision is None else str(revision)


def check(revision: str | None) -> None:
    """Raises StoreUnavailable for a schema that only a newer program knows."""
    if revision is None or (revision.isdigit() and int(revision) <= int(REVISION)):
        return
    msg = (
        f"The store has schema {revision}, and this program knows {REVISION} at most: a newer version of dspex-actors "
        "wrote it. Install that version (or a later one), or point DSPEX_STORE_URL at another store."
    )
    raise StoreUnavailable(msg)


def upgrade(connection: Connection) -> None:
    """Migrate to `REVISION` inside the caller's transaction: all of it, or nothing."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "dspex_actors.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)
