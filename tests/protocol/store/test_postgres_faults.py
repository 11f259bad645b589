"""PostgreSQL goes away, comes back, or refuses: what a caller is told, and that all goes on by itself."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from sqlalchemy import Integer, String, literal_column, select

from dspex_actors.errors import InvalidRequest, NotFound, StoreUnavailable
from dspex_actors.resources.journal import Verdict
from dspex_actors.resources.session import SessionSpec
from dspex_actors.store import Idempotency, SqlStore, Store, open_store
from dspex_actors.store.driver import run, text_of
from dspex_actors.store.postgres import application_name
from tests.protocol.store.making import TENANT, make_session, sql, turn_of
from tests.support.postgres import PostgresServer

END_ALL = """SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND starts_with(application_name, 'dspex')"""
WRITING = {"idle_in_transaction_session_timeout": "500ms", "lock_timeout": "5s", "tcp_user_timeout": "5000",
           "tcp_keepalives_idle": "2", "tcp_keepalives_count": "3", "transaction_isolation": "read committed",
           "transaction_read_only": "off", "application_name": "dspex host-1#x"}  # fmt: skip


def test_connections_ended_while_idle_are_replaced_unnoticed(postgres_store: SqlStore, postgres_url: str) -> None:
    """An administrator's restart at night is no error in the morning."""
    session = make_session(postgres_store)
    assert sql(postgres_url, END_ALL) == [(2,)]
    assert postgres_store.commit([turn_of(session, 1)]) == [Verdict.COMMITTED]
    postgres_store.ping()


def test_a_connection_lost_in_a_transaction_is_told_and_replaced(postgres_store: SqlStore, postgres_url: str) -> None:
    """Nothing of it was committed; the next call has another connection."""
    session = make_session(postgres_store)
    told = pytest.raises(StoreUnavailable, match="Nothing was acknowledged")
    with told, postgres_store._database.write() as connection:
        postgres_store._fence.commit(connection, [turn_of(session, 1)])
        sql(postgres_url, END_ALL)
        postgres_store._fence.commit(connection, [turn_of(session, 2)])
    assert postgres_store.entries(session.uid) == []
    assert postgres_store.commit([turn_of(session, 1)]) == [Verdict.COMMITTED]


def test_a_server_that_is_down_is_said_and_found_again(postgres: PostgresServer, postgres_url: str) -> None:
    """Every call says so meanwhile; what was acknowledged is there after a crash."""
    with closing(open_store(postgres_url)) as store:
        session = make_session(store)
        store.commit([turn_of(session, 1)])
        postgres.crash()
        try:
            for call in (store.ping, store.take_term, lambda: store.commit([turn_of(session, 2)])):
                with pytest.raises(StoreUnavailable, match="DSPEX_STORE_URL"):
                    call()
        finally:
            postgres.start()
        assert store.commit([turn_of(session, 2)]) == [Verdict.COMMITTED]
        assert [entry.seq for entry in store.entries(session.uid)] == [1, 2]


def test_the_connections_of_a_host_carry_the_timeouts_and_its_name(postgres_url: str) -> None:
    """Those that a frozen or vanished host must not outlive."""
    with closing(open_store(postgres_url, owner="host-1#x")) as store:
        with store._database.write() as connection:
            assert {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in WRITING} == WRITING
        with store._database.read() as connection:
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"


def test_who_owns_no_lease_may_be_slower_but_not_in_a_takeover(postgres_store: SqlStore) -> None:
    """Short of processors, an API replica's requests need not fail; a takeover holds up everybody."""
    show = "SHOW idle_in_transaction_session_timeout"
    with postgres_store._database.write() as connection:
        assert connection.exec_driver_sql(show).scalar() == "2s"
    within = postgres_store._database.takeover((), lambda connection: connection.exec_driver_sql(show).scalar())
    assert within == "500ms"


def test_a_long_name_is_shown_by_its_digest() -> None:
    """PostgreSQL would cut it, and two hosts might look alike."""
    names = {application_name(f"{'host' * 20}-{n}") for n in range(3)}
    assert (len(names), max(map(len, names)) < 64, application_name(None)) == (3, True, "dspex")


def test_a_lock_that_is_not_given_is_unavailable_and_all_goes_on(shared_store: SqlStore, url: str) -> None:
    """Somebody holds it for longer than we wait; afterwards all works again."""
    with closing(open_store(url, busy_timeout_s=0.1)) as store:
        with shared_store._database.write() as connection:
            connection.exec_driver_sql("UPDATE meta SET value = value")
            with pytest.raises(StoreUnavailable, match=r"lock.*Nothing was acknowledged"):
                store.take_term()
        assert store.take_term() == 1


def test_two_transactions_in_each_others_way_end(postgres_store: SqlStore, postgres_url: str) -> None:
    """One of them is told to try again."""
    both = Barrier(2)

    def move(first: str, second: str) -> bool:
        with closing(open_store(postgres_url)) as store:
            try:
                with store._database.write() as connection:
                    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                    connection.exec_driver_sql("UPDATE lease SET epoch = 5 WHERE unit = %s", (first,))
                    both.wait(10)
                    connection.exec_driver_sql("UPDATE lease SET epoch = 5 WHERE unit = %s", (second,))
            except StoreUnavailable as error:
                return "deadlock" not in error.detail
            return True

    postgres_store.seed_leases({"a": "x", "b": "x"})
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(move, "ab", "ba")) == [False, True]


def test_one_of_many_simultaneous_creations_with_one_key_makes_it(store: Store) -> None:
    """The others get its answer, on whatever connection they come."""
    make_session(store)
    key, spec = Idempotency(TENANT, "p", "POST /sessions", "k", b"body"), SessionSpec(program="qa", id="alice")
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: store.create_session(TENANT, spec, key), range(6)))
    assert sorted(each.replayed for each in made) == [False, *[True] * 5]
    assert len({each.value.uid for each in made}) == 1


def test_a_name_with_a_nul_is_the_callers_fault(postgres_store: SqlStore) -> None:
    """PostgreSQL's texts hold none; SQLite's do, and there is nothing of that name."""
    with pytest.raises(InvalidRequest, match="NUL"):
        postgres_store.get_session(TENANT, "a\0b")
    with closing(open_store("sqlite://")) as other, pytest.raises(NotFound):
        other.get_session(TENANT, "a\0b")


def test_a_percent_sign_in_a_statement_is_one(shared_store: SqlStore) -> None:
    """Sent as text too, with and without parameters."""
    three = literal_column("7", Integer) % literal_column("4", Integer)
    statement = select(literal_column("'100%'", String), three)
    with shared_store._database.read() as connection:
        assert run(connection, text_of(statement, connection.dialect), ()) == [("100%", 3)]


@pytest.mark.parametrize("where", ["ann:hush@127.0.0.1:1/d", "ann@127.0.0.1:1/d?password=hush"])
def test_no_error_tells_the_password(where: str) -> None:
    """Nor does what caused it."""
    with pytest.raises(StoreUnavailable) as caught:
        open_store(f"postgresql://{where}")
    faults: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "hush" not in "".join(f"{fault} {fault!r}" for fault in faults)


def test_an_option_that_postgresql_does_not_know_is_invalid(postgres_url: str) -> None:
    """By its name, without its value."""
    with pytest.raises(InvalidRequest, match="colour") as caught:
        open_store(f"{postgres_url}?colour=hush")
    assert "hush" not in caught.value.detail


def test_a_database_that_is_not_there_is_said(postgres: PostgresServer) -> None:
    """With its name."""
    with pytest.raises(StoreUnavailable, match='"nowhere" does not exist'):
        open_store(postgres.url_of("nowhere"))


def test_a_role_that_may_not_make_tables_is_told(postgres: PostgresServer, empty_postgres_url: str) -> None:
    """Instead of an internal error."""
    postgres.execute("DROP ROLE IF EXISTS weak")
    postgres.execute("CREATE ROLE weak LOGIN")
    with pytest.raises(StoreUnavailable, match="permission denied for schema public"):
        open_store(empty_postgres_url.replace("dspex@", "weak@"))


def test_nothing_is_made_unasked_in_postgresql(empty_postgres_url: str) -> None:
    """An empty database is no store."""
    with pytest.raises(StoreUnavailable, match="dspex serve"):
        open_store(empty_postgres_url, create=False)
    assert sql(empty_postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_missing_driver_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: SQLite needs none."""
    monkeypatch.delitem(sys.modules, "dspex_actors.store.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'dspex-actors\[postgres\]'"):
        open_store("postgresql://u@h/d")
