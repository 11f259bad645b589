"""The tables, in portable SQL. A change here is a new migration, and a new `REVISION`.

Every row that belongs to a tenant carries `tenant`; rows of a session are keyed by its `uid`. Times are integer
microseconds UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)

REVISION = "0008"
"""The newest migration. Revisions are numbers, so that a newer schema is recognised without its migrations."""

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("expires_at_us", BigInteger),
    Column("created_at_us", BigInteger, nullable=False),
    UniqueConstraint("sha256", name="api_key_sha256"),
)

program = Table(
    "program",
    metadata,
    Column("uid", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("name", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("live", Boolean, nullable=False, server_default=true()),
    UniqueConstraint("tenant", "name", "version", name="program_version"),
)

session = Table(
    "session",
    metadata,
    Column("uid", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("program_uid", String, nullable=False),
    Column("program", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("lm", String),
    Column("shard", Integer, nullable=False),
    Column("unit", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("turns", BigInteger, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("origin_id", String),
    Column("origin_turn", BigInteger),
    Column("on_busy", String, nullable=False, server_default="enqueue"),
    Column("version_policy", String, nullable=False, server_default="pin"),
    Column("variables", Text),
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Column("isolation", String, nullable=False, server_default="shared"),
    Column("memory_mb", Integer),
    Column("cpus", Float),
    Column("removed_seq", BigInteger, nullable=False, server_default="0"),
    Column("removed_turns", BigInteger, nullable=False, server_default="0"),
    Column("swept_seq", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("tenant", "id", name="session_id"),
    Index("session_created", "tenant", "created_at_us", "uid"),
    Index("session_program", "program_uid"),
    sqlite_with_rowid=False,
)

# Holds dedicated sessions alone: there are a few, and placement asks for them often.
Index(
    "session_dedicated",
    session.c.uid,
    sqlite_where=text("isolation = 'dedicated'"),
    postgresql_where=text("isolation = 'dedicated'"),
)

# Holds sessions with removed entries that are not wiped out yet: few, and none of a commit's business.
Index(
    "session_unswept",
    session.c.uid,
    sqlite_where=text("swept_seq < removed_seq"),
    postgresql_where=text("swept_seq < removed_seq"),
)

# No index on (uid, turn): a turn's number never exceeds its entry's, so the primary key finds it (journal.py), and a
# commit writes one page less per row. The check keeps that true.
journal = Table(
    "journal",
    metadata,
    Column("uid", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("turn", BigInteger),
    Column("turn_id", String),
    Column("body_hash", LargeBinary, nullable=False),
    Column("format_version", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("delta", LargeBinary, nullable=False),
    Column("leftover", Boolean),
    UniqueConstraint("uid", "turn_id", name="journal_turn_id"),
    CheckConstraint("turn IS NULL OR turn <= seq", name="journal_turn_not_after_seq"),
)
# Holds rewinds alone, so that a turn's commit does not write it, and a session's course is read without its turns.
Index(
    "journal_rewind",
    journal.c.uid,
    journal.c.seq,
    sqlite_where=text("kind = 'rewind'"),
    postgresql_where=text("kind = 'rewind'"),
)
# Holds what retention has left of removed entries and may take later: a few, found without those that say nothing.
Index(
    "journal_leftover",
    journal.c.uid,
    journal.c.seq,
    sqlite_where=text("leftover IS NOT NULL"),
    postgresql_where=text("leftover IS NOT NULL"),
)

# Written beside the journal and never changed: each is what the entries up to `seq` add up to. No key to the session's
# row: that is locked when one is written, so that a deleted session leaves none behind.
snapshot = Table(
    "snapshot",
    metadata,
    Column("uid", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String, nullable=False),
    Column("state_version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("turn_ids", LargeBinary, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

failed_turn = Table(
    "failed_turn",
    metadata,
    Column("uid", String, primary_key=True),
    Column("turn_id", String, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("tenant", String, nullable=False),
    Column("after_turn", BigInteger, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
    Column("problem", LargeBinary, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index("failed_turn_at", "uid", "at_us"),
)

retention = Table(
    "retention",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("journal_days", Float),
    Column("journal_turns", BigInteger),
    Column("failed_days", Float),
)

lease = Table(
    "lease",
    metadata,
    Column("unit", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("host", String, nullable=False),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("principal", String, primary_key=True),
    Column("route", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("uid", String, nullable=False),
    Column("answer", JSON, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index("idempotency_uid", "uid"),
    Index("idempotency_at", "at_us"),
)
