"""The HTTP client: the surface of a running server in Python, synchronous and asynchronous.

Reading order: `calls` (what can be asked), `attempts` (the heart: what to send next, and when to give up), `exchange`
and `turn_stream` (whole conversations as generators that do no I/O), then the two thin shells that do it: `client` and
`async_client`.

Every POST carries an `Idempotency-Key`, so that a call whose answer was lost is repeated safely: an acknowledged turn
happened once, however often it was sent.
"""

from dspex_actors.client.async_client import AsyncClient, AsyncSession
from dspex_actors.client.attempts import Retry
from dspex_actors.client.client import Client, Session
from dspex_actors.client.failures import Unreachable
from dspex_actors.client.reply import Event, Reply

__all__ = ["AsyncClient", "AsyncSession", "Client", "Event", "Reply", "Retry", "Session", "Unreachable"]
