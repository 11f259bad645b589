"""What retention has left of removed entries is found without reading those of which nothing is left.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """The next sweep looks once more at all that was removed, and marks what it leaves."""
    op.add_column("journal", sa.Column("leftover", sa.Boolean))
    leftover = sa.text("leftover IS NOT NULL")
    op.create_index(
        "journal_leftover", "journal", ["uid", "seq"], sqlite_where=leftover, postgresql_where=leftover
    )  # fmt: skip
    op.execute("UPDATE session SET swept_seq = 0 WHERE swept_seq > 0")
