"""Rewinds and forks: where a fork comes from, and an index of the rewinds.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two columns and a partial index."""
    op.add_column("session", sa.Column("origin_id", sa.String))
    op.add_column("session", sa.Column("origin_turn", sa.BigInteger))
    of_rewinds = sa.text("kind = 'rewind'")
    op.create_index("journal_rewind", "journal", ["uid", "seq"], sqlite_where=of_rewinds, postgresql_where=of_rewinds)
