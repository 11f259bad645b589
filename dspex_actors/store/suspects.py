"""Ending what a lost process left in PostgreSQL: a transaction that is frozen while it holds rows of leases."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, Connection, String, bindparam, text

# Only of this database, only with these names, and only where rows of leases are locked: a reader is left alone.
_END = text(
    """
    SELECT activity.application_name, pg_terminate_backend(activity.pid)
    FROM pg_stat_activity AS activity
    WHERE activity.datname = current_database()
      AND activity.application_name = ANY(:names)
      AND activity.pid <> pg_backend_pid()
      AND EXISTS (
        SELECT FROM pg_locks AS held
        WHERE held.pid = activity.pid AND held.granted AND held.relation = 'lease'::regclass
          AND held.mode IN ('RowShareLock', 'RowExclusiveLock'))
    """
).bindparams(bindparam("names", type_=ARRAY(String)))


def end_lock_holders(connection: Connection, names: Sequence[str]) -> list[str]:
    """End the connections with those application names that hold locks on leases; gives the names found."""
    return [name for name, _ in connection.execute(_END, {"names": list(names)})]
