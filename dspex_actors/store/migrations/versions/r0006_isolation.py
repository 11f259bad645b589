"""Sessions may have a host of their own, with limits of its memory and processors.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Sessions that exist go on sharing hosts."""
    op.add_column("session", sa.Column("isolation", sa.String, nullable=False, server_default="shared"))
    op.add_column("session", sa.Column("memory_mb", sa.Integer))
    op.add_column("session", sa.Column("cpus", sa.Float))
    op.create_index(
        "session_dedicated",
        "session",
        ["uid"],
        sqlite_where=sa.text("isolation = 'dedicated'"),
        postgresql_where=sa.text("isolation = 'dedicated'"),
    )
