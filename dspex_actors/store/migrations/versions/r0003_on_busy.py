"""Sessions say what becomes of a turn that finds them busy.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Sessions that exist go on as they did: turns wait."""
    op.add_column("session", sa.Column("on_busy", sa.String, nullable=False, server_default="enqueue"))
