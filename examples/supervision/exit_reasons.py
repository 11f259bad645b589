"""Permanent, transient, temporary: what an end means depends on its reason.

A `Process` says why it ends: by `run` returning (`normal`), by an exception (`crash`), or by `self.exit(reason)`.

python examples/supervision/exit_reasons.py
"""

import asyncio

from supervisors import ChildSpec, Exit, Process, Supervisor
from supervisors.spec import RestartType

RESTARTS: tuple[RestartType, ...] = ("permanent", "transient", "temporary")


class Job(Process):
    """Ends once, in the way it was told to; its next life goes on."""

    ended: set[str] = set()

    def __init__(self, name: str, how: str) -> None:
        self.name, self.how = name, how

    async def run(self) -> None:
        if self.name in self.ended:
            await asyncio.Event().wait()
        self.ended.add(self.name)
        if self.how == "crash":
            raise RuntimeError("something broke")
        self.exit(Exit("shutdown", "nothing to do"))


async def main() -> None:
    for how in ("crash", "shutdown"):
        children = [
            ChildSpec(restart, start=Job, args=(f"{restart} {how}", how), restart=restart) for restart in RESTARTS
        ]
        sup = await Supervisor.start(max_restarts=5, children=children, backend="local")
        await asyncio.sleep(0.1)
        shown = {info.id: "runs" if info.child else "stays without a process" for info in await sup.which_children()}
        print(f"after {how}:", {restart: shown.get(restart, "is forgotten") for restart in RESTARTS})
        await sup.stop()


if __name__ == "__main__":
    asyncio.run(main())
