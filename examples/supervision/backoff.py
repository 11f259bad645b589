"""A child that cannot start waits longer each time, instead of using up its supervisor's patience.

python examples/supervision/backoff.py
"""

import asyncio
import time

from supervisors import Backoff, ChildSpec, Process, Supervisor


class Client(Process):
    """Of a service that comes back after a while."""

    began = time.monotonic()
    tries = 0
    connected = asyncio.Event()

    async def run(self) -> None:
        Client.tries += 1
        print(f"{time.monotonic() - self.began:.1f} s: try {Client.tries}")
        if Client.tries < 5:
            raise ConnectionError("nobody answers")
        self.connected.set()
        await asyncio.Event().wait()


async def main() -> None:
    client = ChildSpec("client", start=Client, backoff=Backoff(0.1, 1.0, jitter=0.2))
    sup = await Supervisor.start(max_restarts=5, max_seconds=2, children=[client], backend="local")
    await Client.connected.wait()
    await sup.stop()


if __name__ == "__main__":
    asyncio.run(main())
