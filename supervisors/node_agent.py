"""What runs once on a node for all supervisors elsewhere: it beats for the node, and watches children there for them.

Free of Ray; `ray_nodes` makes an actor of it. Whoever connects to its port names the connection and hears lines:

| Line | Meaning |
|---|---|
| `.` | the node lives: this process runs, and so does the node's own manager (its parent process) |
| `gone` | the node's manager has ended; the node is lost |
| `hung <key> <why>` | a watched child hangs |
| `ended <key>` | a watched child has ended |

Nothing is accepted on the connection; what to watch and whom to kill comes by actor calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from supervisors.errors import NotBeating
from supervisors.heartbeats import Heartbeat, NodeBeat
from supervisors.hearts import Heart, Hearts
from supervisors.orphans import Claim, sweep_claimed
from supervisors.pulse import state_of

IDLE_S = 30.0
"""Without anyone connected for so long, an agent leaves."""
_URGENT = -10


class NodeAgent:
    """The agent of one node.

    Args:
        host: The address that it listens at; the port is any that is free.
        beat: How often it beats, and looks at children.
        idle_s: Seconds without a watcher after which it calls `leave`.
    """

    def __init__(self, host: str, beat: NodeBeat, idle_s: float = IDLE_S) -> None:
        self._host, self._beat, self._idle_s = host, beat, idle_s
        self._manager = os.getppid()
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._watched: dict[tuple[str, str], Heart] = {}
        self._hearts = Hearts(Heartbeat(interval_s=beat.interval_s))
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        with contextlib.suppress(OSError):  # its beats must not wait behind work; without the right to that they may
            os.setpriority(os.PRIO_PROCESS, 0, _URGENT)

    async def address(self) -> tuple[str, int]:
        """Where to connect. Begins to listen and to beat."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self._host, 0)
            self._spawn()
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def watch(self, watcher: str, key: str, pid: int, options: Heartbeat | None) -> NotBeating | None:
        """Watch a child for a connected watcher; why it cannot be, otherwise. One that is gone already has `ended`.

        Without options only its end is told.
        """
        if (watcher, key) in self._watched:
            return None
        loop = asyncio.get_running_loop()

        def tell(line: str) -> None:
            loop.call_soon_threadsafe(self._tell, watcher, line)

        def hung(why: str) -> None:
            tell(f"hung {key} {why}")

        try:
            heart = self._hearts.watch(
                pid, hung=hung if options else None, ended=lambda: tell(f"ended {key}"), options=options
            )
        except NotBeating as error:
            if state_of(pid) in ("", "Z", "X"):
                tell(f"ended {key}")
                return None
            return error
        self._watched[watcher, key] = heart
        return None

    async def kill(self, watcher: str, key: str) -> None:
        """SIGKILL a child that this watcher watches."""
        heart = self._watched.get((watcher, key))
        if heart is not None:
            heart.kill()

    async def cancel(self, watcher: str, key: str) -> None:
        """Watch it no longer."""
        heart = self._watched.pop((watcher, key), None)
        if heart is not None:
            heart.cancel()

    async def sweep(self, claim: Claim) -> None:
        """Kill what earlier lives of a supervisor have left here. Raises TimeoutError."""
        await asyncio.to_thread(sweep_claimed, claim)

    async def leave(self) -> None:
        """Nobody listens: end this process."""
        os._exit(0)

    async def close(self) -> None:
        """Beat no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self) -> None:
        for work in (self._beats(), self._idle()):
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watcher = ""
        with contextlib.suppress(OSError, ValueError):  # it is gone, or sends no line
            watcher = (await reader.readline()).decode().strip()
            self._writers[watcher] = writer
            await reader.read()  # nothing comes: it returns when the watcher is gone
        writer.close()
        self._writers.pop(watcher, None)
        for owner, key in [each for each in self._watched if each[0] == watcher]:
            await self.cancel(owner, key)

    def _tell(self, watcher: str, line: str) -> None:
        if line.startswith("ended "):
            self._watched.pop((watcher, line.removeprefix("ended ")), None)
        writer = self._writers.get(watcher)
        if writer is not None:
            writer.write(f"{line}\n".encode())

    async def _beats(self) -> None:
        gone = asyncio.Event()
        descriptor = os.pidfd_open(self._manager)
        asyncio.get_running_loop().add_reader(descriptor, gone.set)
        while not gone.is_set():
            if state_of(self._manager) != "T":
                self._tell_all(".")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), self._beat.interval_s)
        self._tell_all("gone")
        await asyncio.gather(*(writer.drain() for writer in self._writers.values()), return_exceptions=True)
        os._exit(0)  # Ray leaves it alive, and nobody needs it

    def _tell_all(self, line: str) -> None:
        for watcher in self._writers:
            self._tell(watcher, line)

    async def _idle(self) -> None:
        idle_s = 0.0
        while idle_s < self._idle_s:
            await asyncio.sleep(1.0)
            idle_s = 0.0 if self._writers else idle_s + 1.0
        await self.leave()
