"""A host that freezes inside its transaction: run as a process with an address, a uid, a unit and an epoch."""

from __future__ import annotations

import sys

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Entry
from dspex_actors.store import open_store


def say(word: object) -> None:
    """One line to whoever started this."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(url: str, uid: str, unit: str, epoch: str, may_idle: str) -> None:
    """Write an entry, wait before COMMIT to be told to go on, say what came of it, repeat it as a writer does."""
    entry = Entry(uid, 1, "turn", 1, "late", b"", b"{}", 5, unit=unit, epoch=int(epoch))
    store = open_store(url, owner="host-a")
    try:
        with store._database.write() as connection:
            if may_idle == "yes":
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            say(store._fence.commit(connection, [entry])[0].name)
            sys.stdin.readline()
        say("committed")
    except StoreUnavailable:
        say("unavailable")
    say(store.commit([entry])[0].name)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
