"""The pool of threads for programs that block."""

from __future__ import annotations

import threading

from dspex_actors.sessions.pool import Pool

WAIT_S = 10.0


def test_a_pool_is_never_larger_than_its_size_and_does_every_job() -> None:
    """Jobs beyond it wait."""
    pool, threads, done = Pool(3), set(), threading.Semaphore(0)
    lock = threading.Lock()

    def job() -> None:
        with lock:
            threads.add(threading.get_ident())
        done.release()

    for _ in range(200):
        pool.submit(job)
    assert all(done.acquire(timeout=WAIT_S) for _ in range(200))
    assert len(threads) <= 3
    pool.close()


def test_a_hung_job_does_not_hold_up_the_others() -> None:
    """As long as one thread is left."""
    pool, gate, done = Pool(2), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        gate.wait(WAIT_S)

    pool.submit(hang)
    for _ in range(20):
        pool.submit(done.release)
    assert all(done.acquire(timeout=WAIT_S) for _ in range(20))
    gate.set()
    pool.close()


def test_idle_threads_are_used_again() -> None:
    """A pool grows only when all are busy."""
    pool, done = Pool(8), threading.Event()
    for _ in range(5):
        done.clear()
        pool.submit(done.set)
        assert done.wait(WAIT_S)
    assert pool._threads <= 5
    pool.close()


def test_closing_ends_the_threads_after_their_jobs() -> None:
    """What was queued is done first."""
    pool, found = Pool(2), []
    done = threading.Semaphore(0)

    def job() -> None:
        found.append(threading.current_thread())
        done.release()

    for _ in range(4):
        pool.submit(job)
    pool.close()
    assert all(done.acquire(timeout=WAIT_S) for _ in range(4))
    for thread in set(found):
        thread.join(WAIT_S)
        assert not thread.is_alive()
