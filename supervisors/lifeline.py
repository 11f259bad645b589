"""A lifeline: a lock in shared memory that the kernel gives up for its owner in the first moments of the owner's end.

A killed process is told of (pidfd, end of stream) only when its memory has been returned, and returning that of a large
one takes about 10 ms. Robust mutexes are released before that: whoever waits for one hears of the end within 1 to 3 ms.
It is a hint that comes early, nothing more: the dying process may still hold a file's lock for a moment.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

LIFELINE_BYTES = 64
"""More than a pthread_mutex_t has on any machine that Linux runs on."""
_SHARED = 1
_ROBUST = 1
_ENDED = (errno.EOWNERDEAD, errno.ENOTRECOVERABLE)
_libc = ctypes.CDLL(None)


def hold(path: Path) -> None:
    """Make the lifeline of this process and hold it until the process ends. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    held = threading.Event()
    fault: list[OSError] = []

    def keep() -> None:
        try:
            os.ftruncate(descriptor, LIFELINE_BYTES)
            lock = take(descriptor)
        except OSError as error:
            fault.append(error)
            held.set()
            return
        finally:
            os.close(descriptor)
        held.set()
        threading.Event().wait()  # the lock is this thread's: it must live as long as the process
        del lock

    threading.Thread(target=keep, name="lifeline", daemon=True).start()
    held.wait()
    if fault:
        raise fault[0]


def take(descriptor: int) -> object:
    """Make a lifeline in the first `LIFELINE_BYTES` of an open file, held by the calling thread.

    Returns:
        What the thread must keep as long as it lives.

    Raises:
        OSError: The system refuses.
    """
    lock = _mapped(descriptor)
    attributes = ctypes.create_string_buffer(LIFELINE_BYTES)
    _check(_libc.pthread_mutexattr_init(attributes))
    _check(_libc.pthread_mutexattr_setpshared(attributes, _SHARED))
    _check(_libc.pthread_mutexattr_setrobust(attributes, _ROBUST))
    _check(_libc.pthread_mutex_init(ctypes.byref(lock), attributes))
    _check(_libc.pthread_mutex_lock(ctypes.byref(lock)))
    return lock


def watch(path: Path, ended: Callable[[], object]) -> None:
    """Call `ended`, from a thread of its own, as soon as the process that holds the lifeline ends. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        lock = _mapped(descriptor)
    finally:
        os.close(descriptor)

    def wait() -> None:
        if _libc.pthread_mutex_lock(ctypes.byref(lock)) in _ENDED:
            _libc.pthread_mutex_unlock(ctypes.byref(lock))  # whoever else waits hears of it, too
            ended()

    threading.Thread(target=wait, name=f"watch {path.name}", daemon=True).start()


def _mapped(descriptor: int) -> ctypes.Array[ctypes.c_char]:
    return (ctypes.c_char * LIFELINE_BYTES).from_buffer(mmap.mmap(descriptor, LIFELINE_BYTES))  # keeps the mapping


def _check(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
