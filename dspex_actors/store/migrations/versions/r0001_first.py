"""The first schema: resources, journal, leases.

Frozen: a later change is a new revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _resources()
    _session()
    _journal()
    _coordination()


def _resources() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("sha256", name="api_key_sha256"),
    )
    op.create_table(
        "program",
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "name", "version", name="program_version"),
    )


def _session() -> None:
    op.create_table(
        "session",
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("program_uid", sa.String, nullable=False),
        sa.Column("program", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("lm", sa.String),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("unit", sa.String, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("turns", sa.BigInteger, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "id", name="session_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("session_created", "session", ["tenant", "created_at_us", "uid"])
    op.create_index("session_program", "session", ["program_uid"])


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("turn", sa.BigInteger),
        sa.Column("turn_id", sa.String),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("format_version", sa.Integer, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("delta", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("uid", "turn_id", name="journal_turn_id"),
        sa.CheckConstraint("turn IS NULL OR turn <= seq", name="journal_turn_not_after_seq"),
    )
    op.create_table(
        "failed_turn",
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("turn_id", sa.String, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("after_turn", sa.BigInteger, nullable=False),
        sa.Column("inputs", sa.LargeBinary, nullable=False),
        sa.Column("problem", sa.LargeBinary, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("failed_turn_at", "failed_turn", ["uid", "at_us"])


def _coordination() -> None:
    op.create_table(
        "lease",
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("principal", sa.String, primary_key=True),
        sa.Column("route", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("uid", sa.String, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("idempotency_uid", "idempotency", ["uid"])
    op.create_index("idempotency_at", "idempotency", ["at_us"])
