"""Sessions have variables and may follow their program; of a program's versions one is live.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Sessions that exist stay with their version, and programs that exist have one."""
    op.add_column("session", sa.Column("version_policy", sa.String, nullable=False, server_default="pin"))
    op.add_column("session", sa.Column("variables", sa.Text))
    op.add_column("session", sa.Column("changed", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("program", sa.Column("live", sa.Boolean, nullable=False, server_default=sa.true()))
