"""A warm spare takes over in milliseconds, where a new process costs a second.

python examples/supervision/ray_spare.py
"""

import asyncio
import os
import signal
import time

import ray

from supervisors import ChildSpec, Supervisor


class Model:
    def __init__(self) -> None:
        self.table = {number: str(number) for number in range(100_000)}  # something that takes time to load

    def look_up(self, number: int) -> str:
        return self.table[number]


async def main() -> None:
    sup = await Supervisor.start(max_restarts=5, children=[ChildSpec("model", start=Model, spares=1)])
    spare = None
    while spare is None:
        nodes = (await sup.tree())["children"]
        spare = next((node for node in nodes if node["kind"] == "spare" and node["status"] == "ready"), None)
        await asyncio.sleep(0.1)
    print("the spare is process", spare["pid"])

    events = sup.events()
    began = time.perf_counter()
    os.kill((await sup.which_child("model")).child.pid, signal.SIGKILL)
    async for event in events:
        if event.kind == "restarted":
            break
    child = (await sup.which_child("model")).child
    model = ray.get_actor(child.name, namespace=child.namespace)
    print("answers", await model.look_up.remote(7), f"after {(time.perf_counter() - began) * 1e3:.0f} ms")
    print("from process", child.pid)
    await sup.stop()


if __name__ == "__main__":
    ray.init(address="local", object_store_memory=80_000_000, include_dashboard=False)
    asyncio.run(main())
    ray.shutdown()
