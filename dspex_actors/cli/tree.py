"""`dspex tree`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dspex_actors.cli import output
from dspex_actors.cli.options import AsJson, Url

_FACTS = ("pid", "node", "restarts", "sessions", "shards", "in_flight", "last_exit")
NODE_CHARS = 8
"""As much of a node's name as tells it from the others; `--json` has all of it."""


def tree(url: Url = None, as_json: AsJson = False) -> None:
    """Show the supervision tree."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        root = client.tree()
    if as_json:
        output.document(root)
        return
    for line in lines(root):
        output.say(line)


def lines(node: dict[str, Any], lead: str = "", branch: str = "") -> Iterator[str]:
    """The tree as text, one line a node."""
    known = {name: output.plain(node[name]) for name in _FACTS if node.get(name) is not None}
    facts = "  ".join(f"{name} {value[:NODE_CHARS] if name == 'node' else value}" for name, value in known.items())
    yield f"{branch}{node['id']}  {node['kind']}  {node['status']}  {facts}".rstrip()
    *others, last = node["children"] or [None]
    for child in others:
        yield from lines(child, f"{lead}│   ", f"{lead}├── ")
    if last is not None:
        yield from lines(last, f"{lead}    ", f"{lead}└── ")
