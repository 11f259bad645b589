"""`dspex tree`."""

from __future__ import annotations

from typing import Any

from dspex_actors.cli import output
from dspex_actors.cli.options import AsJson, Url
from supervisors import render

Json = dict[str, Any]

_ALSO = ("node", "session", "sessions", "shards", "in_flight", "queue")
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
    output.say(drawn(root))


def drawn(root: Json) -> str:
    """The tree as text, one line a node."""
    return render(_shown(root), also=_ALSO)


def _shown(node: Json) -> Json:
    """What a terminal takes, and what is worth a place on the line."""
    facts = {name: output.safe(value) if isinstance(value, str) else value for name, value in node.items()}
    facts["node"] = facts["node"][:NODE_CHARS] if facts.get("node") else None
    return facts | {"queue": node.get("queue") or None, "children": [_shown(child) for child in node["children"]]}
