"""A tree that is done when its last significant child is: two imports, and a progress bar that ends with them.

python examples/supervision/auto_shutdown.py
"""

import asyncio

from supervisors import ChildSpec, Process, Supervisor, SupervisorDown


class Import(Process):
    def __init__(self, what: str, seconds: float) -> None:
        self.what, self.seconds = what, seconds

    async def run(self) -> None:
        await asyncio.sleep(self.seconds)
        print(f"{self.what} is imported")


class Progress:
    def terminate(self, reason: str) -> None:
        print(f"the progress bar goes: {reason}")


async def main() -> None:
    sup = await Supervisor.start(
        auto_shutdown="all_significant",
        children=[
            ChildSpec("progress", start=Progress),
            ChildSpec("customers", start=Import, args=("customers", 0.1), restart="transient", significant=True),
            ChildSpec("orders", start=Import, args=("orders", 0.2), restart="transient", significant=True),
        ],
        backend="local",
    )
    try:
        while True:
            await sup.count_children()
            await asyncio.sleep(0.05)
    except SupervisorDown:
        print("the supervisor is done")


if __name__ == "__main__":
    asyncio.run(main())
