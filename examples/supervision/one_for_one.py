"""A child that crashes is started again; its sibling never notices.

python examples/supervision/one_for_one.py
"""

import asyncio

from supervisors import ChildSpec, Supervisor
from supervisors.errors import ChildCrashed
from supervisors.local_ref import local_ref


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, number: object) -> int:
        self.count += int(str(number))
        return self.count


async def main() -> None:
    sup = await Supervisor.start(
        children=[ChildSpec("left", start=Counter), ChildSpec("right", start=Counter)], backend="local"
    )
    for child in await sup.which_children():
        print(child.id, "counts", await local_ref(child.child).call("add", 5))

    try:
        await local_ref((await sup.which_child("left")).child).call("add", "five")
    except ChildCrashed as error:
        print("left crashed:", type(error.__cause__).__name__)

    for id_ in ("left", "right"):
        print(id_, "counts", await local_ref((await sup.which_child(id_)).child).call("add", 1))
    await sup.stop()


if __name__ == "__main__":
    asyncio.run(main())
