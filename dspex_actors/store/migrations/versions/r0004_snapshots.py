"""Snapshots, and the form in which states are written.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """A store that exists may still have hosts that know the first form alone; a new one says for itself."""
    op.create_table(
        "snapshot",
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("state_version", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("turn_ids", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO meta (key, value) SELECT 'state_version_written', '1' FROM meta WHERE key = 'store_id' "
        "AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'state_version_written')"
    )
