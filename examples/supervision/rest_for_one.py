"""A stage that dies takes those after it along; those before it stay.

python examples/supervision/rest_for_one.py
"""

import asyncio

from supervisors import ChildSpec, Exit, Supervisor
from supervisors.local_ref import local_ref


class Stage:
    def __init__(self, what: str) -> None:
        self.what = what


async def main() -> None:
    stages = ("read", "parse", "index", "serve")
    sup = await Supervisor.start(
        strategy="rest_for_one",
        children=[ChildSpec(stage, start=Stage, args=(stage,)) for stage in stages],
        backend="local",
    )
    events = sup.events()
    local_ref((await sup.which_child("parse")).child).exit(Exit("crash", "a bad page"))
    async for event in events:
        print(event.kind, event.id)
        if event.kind == "restarted" and event.id == "serve":
            break
    tree = await sup.tree()
    print({child["id"]: child["restarts"] for child in tree["children"]})
    await sup.stop()


if __name__ == "__main__":
    asyncio.run(main())
