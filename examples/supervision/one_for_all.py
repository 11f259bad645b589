"""Children that only make sense together are restarted together.

A connection and a subscription that was made over it: when one is lost, what the other knows is of no use.

python examples/supervision/one_for_all.py
"""

import asyncio

from supervisors import ChildSpec, Exit, Supervisor
from supervisors.local_ref import local_ref


class Part:
    def __init__(self, what: str) -> None:
        self.what = what
        print(f"  {what} is up")

    def terminate(self, reason: str) -> None:
        print(f"  {self.what} is asked to stop: {reason}")


async def main() -> None:
    print("start, in order:")
    sup = await Supervisor.start(
        strategy="one_for_all",
        children=[ChildSpec(what, start=Part, args=(what,)) for what in ("connection", "session", "subscription")],
        backend="local",
    )
    print("the session dies; the others are stopped in reverse, then all start again:")
    events = sup.events()
    local_ref((await sup.which_child("session")).child).exit(Exit("killed"))
    async for event in events:
        if event.id == "subscription" and event.kind == "restarted":
            break
    print("stop, in reverse:")
    await sup.stop()


if __name__ == "__main__":
    asyncio.run(main())
