"""A child that hangs is told from one that is busy, killed, and started again.

python examples/supervision/ray_hang.py
"""

import asyncio
import re

import ray
from ray.exceptions import RayActorError

from supervisors import ChildSpec, Heartbeat, Supervisor


class Parser:
    def busy(self) -> int:
        return sum(number * number for number in range(20_000_000))  # Python code: it goes on beating

    def stuck(self) -> None:
        re.match(r"(a+)+$", "a" * 60 + "b")  # C code that keeps the interpreter, for ages


async def parser(sup: Supervisor) -> ray.actor.ActorHandle:
    child = (await sup.which_child("parser")).child
    return ray.get_actor(child.name, namespace=child.namespace)


async def main() -> None:
    sup = await Supervisor.start(children=[ChildSpec("parser", start=Parser, heartbeat=Heartbeat())])
    print("busy:", await (await parser(sup)).busy.remote())

    events = sup.events()
    try:
        await (await parser(sup)).stuck.remote()
    except RayActorError:
        print("stuck: no answer, for it was killed")
    async for event in events:
        print(event.kind, event.reason or "")
        if event.kind == "restarted":
            break
    print("busy:", await (await parser(sup)).busy.remote())
    await sup.stop()


if __name__ == "__main__":
    ray.init(address="local", object_store_memory=80_000_000, include_dashboard=False)
    asyncio.run(main())
    ray.shutdown()
