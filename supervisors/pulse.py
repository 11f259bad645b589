"""The pulse of a process: a counter in shared memory that a thread of it raises, and what the system says of it.

`begin` in the process starts the thread; nobody is called and nothing is sent. Any other process of the same user on
the machine attaches by the process's number, also one that comes later: the memory is found among its open files. It
vanishes with the process, there is nothing to clean up. Python code never stops the thread for long; C code that keeps
the interpreter does, and that is what is to be noticed.

The memory also carries the process's mark (see `orphans`) and a lifeline. Linux only.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from supervisors import lifeline
from supervisors.errors import NotBeating
from supervisors.heartbeats import Facts, Heartbeat

_NAME = "supervisors-pulse"
_LINK = f"/memfd:{_NAME} (deleted)"
_BYTES = 4096
_HEAD = struct.Struct("<8sIf")  # magic, pid, seconds between two beats
_MAGIC = b"svpulse1"
_HEAD_AT = lifeline.LIFELINE_BYTES
_BEATS = struct.Struct("<Q")
_BEATS_AT = _HEAD_AT + _HEAD.size
_INTERVAL = struct.Struct("<f")
_INTERVAL_AT = _HEAD_AT + 12
_MARK = struct.Struct("<H")
_MARK_AT = 128
MARK_BYTES = 1024
"""The longest mark."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PROCESS_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9


class _Own:
    """This process's pulse."""

    def __init__(self, interval_s: float) -> None:
        self.pid = os.getpid()
        self.interval_s = interval_s
        self.memory: mmap.mmap | None = None
        self._fault: OSError | None = None
        self._beating, self._hurried = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="pulse", daemon=True).start()
        self._beating.wait()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            descriptor = os.memfd_create(_NAME)
            os.ftruncate(descriptor, _BYTES)
            lock = lifeline.take(descriptor)  # this thread's, which ends with the process
            memory = mmap.mmap(descriptor, _BYTES)
        except OSError as error:
            self._fault = error
            self._beating.set()
            return
        _HEAD.pack_into(memory, _HEAD_AT, _MAGIC, self.pid, self.interval_s)
        self.memory = memory
        self._beat(memory)
        del lock

    def _beat(self, memory: mmap.mmap) -> None:
        beats = 0
        while True:
            beats += 1
            _BEATS.pack_into(memory, _BEATS_AT, beats)
            self._beating.set()
            self._hurried.wait(self.interval_s)
            self._hurried.clear()

    def hurry(self, interval_s: float) -> None:
        """Beat that often from now on."""
        assert self.memory is not None
        self.interval_s = interval_s
        _INTERVAL.pack_into(self.memory, _INTERVAL_AT, interval_s)
        self._hurried.set()


_own: _Own | None = None
_starting = threading.Lock()


def begin(interval_s: float | None = None, mark: bytes = b"") -> None:
    """Let this process beat until it ends. Called again, it only beats faster if it must, and changes the mark.

    Args:
        interval_s: Seconds between two beats; None is the default of `Heartbeat`.
        mark: What `orphans` reads, if it is not empty.

    Raises:
        OSError: The system gives no shared memory.
        ValueError: The mark is longer than `MARK_BYTES`.
    """
    global _own
    interval_s = Heartbeat().interval_s if interval_s is None else Heartbeat(interval_s=interval_s).interval_s
    with _starting:
        if _own is None or _own.pid != os.getpid():  # a fork inherits the variable, not the thread
            _own = _Own(interval_s)
        if interval_s < _own.interval_s:
            _own.hurry(interval_s)
        if mark and _own.memory is not None:
            _write_mark(_own.memory, mark)


def _write_mark(memory: mmap.mmap, mark: bytes) -> None:
    if len(mark) > MARK_BYTES:
        raise ValueError(f"The mark has {len(mark)} bytes; shorten it to {MARK_BYTES}.")
    memory[_MARK_AT : _MARK_AT + _MARK.size + len(mark)] = _MARK.pack(len(mark)) + mark


class Pulse:
    """Another process's pulse, and a hold on that process that another one of the same number cannot take over.

    Args:
        pid: The process.

    Raises:
        NotBeating: There is no such process, or it has no pulse.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self.descriptor = os.pidfd_open(pid)
        except OSError as error:
            raise NotBeating(pid, error.strerror or "there is none") from None
        try:
            self._path, self._memory = _attached(pid)
        except BaseException:
            os.close(self.descriptor)
            raise

    @property
    def beats(self) -> int:
        """The counter."""
        beats: int = _BEATS.unpack_from(self._memory, _BEATS_AT)[0]
        return beats

    @property
    def interval_s(self) -> float:
        """Seconds between two beats, as the process means it."""
        interval_s: float = _INTERVAL.unpack_from(self._memory, _INTERVAL_AT)[0]
        return interval_s

    @property
    def mark(self) -> bytes:
        """Its mark; empty if it has none."""
        length = _MARK.unpack_from(self._memory, _MARK_AT)[0]
        return self._memory[_MARK_AT + _MARK.size : _MARK_AT + _MARK.size + length]

    def write_mark(self, mark: bytes) -> None:
        """Give it another mark: whoever adopts a process does that. Raises ValueError if it is too long."""
        _write_mark(self._memory, mark)

    def kill(self) -> None:
        """SIGKILL; nothing if it is gone."""
        if self.descriptor >= 0:
            try:
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
            except ProcessLookupError:
                return

    def watch_end(self, ended: Callable[[], object]) -> None:
        """Call `ended` from a thread of its own 1 to 3 ms after the end has begun; see `lifeline`. Raises OSError."""
        lifeline.watch(self._path, ended)

    def close(self) -> None:
        """Let go."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._memory.close()


def _attached(pid: int) -> tuple[Path, mmap.mmap]:
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            if _is_pulse(path) and (memory := _opened(path, pid)) is not None:
                return path, memory
    except OSError as error:
        raise NotBeating(pid, error.strerror or "it cannot be read") from None
    raise NotBeating(pid, "it has no pulse")


def _is_pulse(path: Path) -> bool:
    try:
        return str(path.readlink()) == _LINK
    except OSError:
        return False  # closed meanwhile


def _opened(path: Path, pid: int) -> mmap.mmap | None:
    """The memory, unless it is that of the process that this one was forked from."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        memory = mmap.mmap(descriptor, _BYTES)
    except ValueError:  # it is just being made
        return None
    finally:
        os.close(descriptor)
    return memory if _HEAD.unpack_from(memory, _HEAD_AT)[:2] == (_MAGIC, pid) else None


def end_group(descriptor: int, pid: int) -> None:
    """SIGKILL what is left of the process group that a dead process led; nothing if it led none.

    Args:
        descriptor: The pidfd of the dead process: its number may belong to another by now, its group cannot.
        pid: Its number, for systems that cannot signal a group by descriptor.
    """
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL, None, _PROCESS_GROUP)
    except OSError as error:
        if error.errno == errno.EINVAL:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


def facts_of(pid: int) -> Facts:
    """What the system says of a process now."""
    try:
        state, fields = _stat(Path(f"/proc/{pid}/stat"))
        wants_cpu = state in "RD" or any(_wants_cpu(task) for task in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return Facts(gone=True)
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS  # utime, stime
    return Facts(cpu_s, stopped=state == "T", wants_cpu=wants_cpu, gone=state in "ZX")


def state_of(pid: int) -> str:
    """The letter of proc(5) for what a process does now; empty if there is none."""
    try:
        return _stat(Path(f"/proc/{pid}/stat"))[0]
    except OSError:
        return ""


def _wants_cpu(task: Path) -> bool:
    try:
        return _stat(task / "stat")[0] in "RD"
    except OSError:
        return False


def _stat(path: Path) -> tuple[str, list[str]]:
    """The state and what follows the name (which may contain anything): proc(5)."""
    fields = path.read_text().rpartition(")")[2].split()
    return fields[0], fields
