"""Creations that a client may send twice: the first answer is kept 24 h and given again.

The answer is written in the transaction that makes the thing, so one is never there without the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, delete, insert, select

from dspex_actors.errors import IdempotencyMismatch
from dspex_actors.store.locks import hold
from dspex_actors.store.port import Idempotency, Made
from dspex_actors.store.schema import idempotency as table

KEPT_US = 24 * 3600 * 1_000_000


class _Thing(Protocol):
    @property
    def uid(self) -> str: ...


T = TypeVar("T", bound=_Thing)


def make_once(
    connection: Connection,
    now_us: int,
    use: Idempotency | None,
    make: Callable[[], T],
    dump: Callable[[T], dict[str, Any]],
    load: Callable[[dict[str, Any]], T],
) -> Made[T]:
    """What `make` gives, or what it gave under this key before, in the caller's transaction.

    Args:
        connection: The open transaction.
        now_us: The time, microseconds UTC; rows that are 24 h old are dropped.
        use: The key; without one the thing is simply made.
        make: Inserts the thing.
        dump: The thing as JSON's types.
        load: Its inverse.

    Raises:
        IdempotencyMismatch: The key was used with another body.
    """
    if use is None:
        return Made(make())
    hold(connection, "idempotency", use.tenant, use.principal, use.route, use.key)
    connection.execute(delete(table).where(table.c.at_us <= now_us - KEPT_US))
    found = connection.execute(select(table.c.body_hash, table.c.answer).where(_is(use))).first()
    if found is None:
        made = make()
        connection.execute(insert(table).values(_row(use, made.uid, dump(made), now_us)))
        return Made(made)
    if found.body_hash != use.body_hash:
        raise IdempotencyMismatch(f"The key {use.key!r} was used with another body; send a new key with this one.")
    return Made(load(found.answer), replayed=True)


def _is(use: Idempotency) -> Any:  # A clause; SQLAlchemy names no narrower public type for a conjunction.
    return (
        (table.c.tenant == use.tenant)
        & (table.c.principal == use.principal)
        & (table.c.route == use.route)
        & (table.c.key == use.key)
    )


def _row(use: Idempotency, uid: str, answer: dict[str, Any], now_us: int) -> dict[str, Any]:
    return {
        "tenant": use.tenant,
        "principal": use.principal,
        "route": use.route,
        "key": use.key,
        "body_hash": use.body_hash,
        "uid": uid,
        "answer": answer,
        "at_us": now_us,
    }
