"""The supervisor's process is killed; its children serve on, and the supervisor that comes back adopts them.

python examples/supervision/ray_tree_survives.py
"""

import asyncio
import os
import signal

import ray

from supervisors import ChildSpec, Supervisor, SupervisorDown


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count


async def main() -> None:
    sup = await Supervisor.start(
        name="counters", detached=True, children=[ChildSpec(id_, start=Counter) for id_ in ("a", "b")]
    )
    a = (await sup.which_child("a")).child
    counter = ray.get_actor(a.name, namespace=a.namespace)
    print("a counts", await counter.add.remote())

    first = (await sup.tree())["pid"]
    os.kill(first, signal.SIGKILL)
    print("its supervisor was killed; a counts", await counter.add.remote())

    pid = first
    while pid == first:
        try:
            sup = await Supervisor.find("counters")
            pid = (await sup.tree(timeout_s=2.0))["pid"]
        except SupervisorDown:
            await asyncio.sleep(0.1)
    again = (await sup.which_child("a")).child
    print("the supervisor is back as process", pid, "and a is", "the same" if again.pid == a.pid else "another")
    print("a counts", await counter.add.remote())
    await sup.stop()


if __name__ == "__main__":
    ray.init(address="local", object_store_memory=80_000_000, include_dashboard=False)
    asyncio.run(main())
    ray.shutdown()
