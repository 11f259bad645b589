"""Noticing that the client has gone while its answer is being made."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from dspex_actors.api.asgi import Receive
from dspex_actors.errors import DspexError


class ClientWatch:
    """Cancels the block that it guards when the client goes away; `gone` then is true and the block's end is quiet.

    Enter it after the request's body has been read: what the server sends next is the disconnect. A cancellation from
    anywhere else passes through.
    """

    __slots__ = ("_cancelling", "_listener", "_owner", "_receive", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False

    def __enter__(self) -> Self:
        owner = asyncio.current_task()
        assert owner is not None
        self._owner, self._cancelling = owner, owner.cancelling()
        self._listener = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._owner.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._listener.cancel()
        if not self.gone or self._owner.uncancel() > self._cancelling:
            return False
        return isinstance(error, asyncio.CancelledError | DspexError)
