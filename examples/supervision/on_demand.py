"""Thousands of children, started and ended as they are needed.

python examples/supervision/on_demand.py
"""

import asyncio
import time

from supervisors import ChildSpec, MaxChildren, Supervisor
from supervisors.local_ref import local_ref


class Room:
    def __init__(self, building: str, number: int) -> None:
        self.name = f"{building}-{number}"

    def open(self) -> str:
        return f"welcome to {self.name}"


async def main() -> None:
    template = ChildSpec("room", start=Room, args=("tower",), restart="transient")
    rooms = await Supervisor.start(
        strategy="simple_one_for_one", max_children=5_000, children=[template], backend="local"
    )
    began = time.perf_counter()
    made = [await rooms.start_child(args=(number,)) for number in range(5_000)]
    print(f"5,000 children in {time.perf_counter() - began:.2f} s")
    print(await local_ref(made[4_999]).call("open"))
    try:
        await rooms.start_child(args=(5_000,))
    except MaxChildren as error:
        print(error)
    await rooms.terminate_child(made[0])
    print(await rooms.count_children())
    await rooms.stop()


if __name__ == "__main__":
    asyncio.run(main())
