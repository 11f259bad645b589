"""Plain Ray actors under a supervisor: `kill -9`, and a graceful stop in reverse order.

python examples/supervision/ray_actors.py
"""

import asyncio
import os
import signal

import ray

from supervisors import ChildSpec, Supervisor, render


class Shelf:
    def __init__(self, label: str) -> None:
        self.label = label
        self.books: list[str] = []

    def put(self, book: str) -> int:
        self.books.append(book)
        return len(self.books)

    def terminate(self, reason: str) -> None:
        print(f"{self.label} closes with {len(self.books)} books: {reason}")


async def main() -> None:
    sup = await Supervisor.start(
        name="library", children=[ChildSpec(label, start=Shelf, args=(label,)) for label in ("novels", "poems")]
    )
    print(render(await sup.tree()))

    novels = (await sup.which_child("novels")).child
    shelf = ray.get_actor(novels.name, namespace=novels.namespace)
    print("novels:", await shelf.put.remote("Ulysses"))

    events = sup.events()
    os.kill(novels.pid, signal.SIGKILL)
    async for event in events:
        print(event.kind, event.id, event.reason or "")
        if event.kind == "restarted":
            break

    novels = (await sup.which_child("novels")).child
    shelf = ray.get_actor(novels.name, namespace=novels.namespace)
    print("novels, in a new process:", await shelf.put.remote("Middlemarch"))
    await sup.stop()


if __name__ == "__main__":
    ray.init(address="local", object_store_memory=80_000_000, include_dashboard=False)
    asyncio.run(main())
    ray.shutdown()
