"""Too many restarts: a supervisor gives up to its own supervisor, which starts the whole branch afresh.

python examples/supervision/escalation.py
"""

import asyncio

from supervisors import ChildSpec, Process, Supervisor, SupervisorSpec


class Worker(Process):
    """Crashes until its branch has been started for the third time: a stale cache, say, that its sibling holds."""

    at_work = asyncio.Event()

    async def run(self) -> None:
        if Cache.made < 3:
            raise RuntimeError("the cache makes no sense")
        self.at_work.set()
        await asyncio.Event().wait()


class Cache:
    made = 0

    def __init__(self) -> None:
        Cache.made += 1
        print(f"cache number {Cache.made}")


async def main() -> None:
    branch = SupervisorSpec(
        max_restarts=2, max_seconds=5, children=(ChildSpec("cache", start=Cache), ChildSpec("worker", start=Worker))
    )
    top = await Supervisor.start(max_restarts=5, children=[ChildSpec("branch", start=branch)], backend="local")
    await Worker.at_work.wait()
    (node,) = (await top.tree())["children"]
    print(f"the branch was started again {node['restarts']} times; last because of: {node['last_exit']}")
    await top.stop()


if __name__ == "__main__":
    asyncio.run(main())
