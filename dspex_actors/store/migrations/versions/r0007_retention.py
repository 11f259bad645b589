"""Retention: a tenant says how long its journals are kept, and sessions how far theirs have been removed.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Tenants that exist keep everything, and nothing has been removed."""
    op.create_table(
        "retention",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("journal_days", sa.Float),
        sa.Column("journal_turns", sa.BigInteger),
        sa.Column("failed_days", sa.Float),
    )
    for name in ("removed_seq", "removed_turns", "swept_seq"):
        op.add_column("session", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    unswept = sa.text("swept_seq < removed_seq")
    op.create_index("session_unswept", "session", ["uid"], sqlite_where=unswept, postgresql_where=unswept)
    op.execute(
        "INSERT INTO meta (key, value) SELECT 'retention_at_us', '0' FROM meta WHERE key = 'store_id' "
        "AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'retention_at_us')"
    )
