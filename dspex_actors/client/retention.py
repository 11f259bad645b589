"""`client.retention`, in both clients: how long the past of sessions is kept."""

from __future__ import annotations

from dspex_actors.client import calls
from dspex_actors.client.async_driver import AsyncDriver
from dspex_actors.client.driver import Driver
from dspex_actors.client.reply import Json


class AsyncRetention:
    """`client.retention`, of the key's tenant."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def get(self) -> Json:
        """`journal_days`, `journal_turns`, `failed_days` (None: kept), and whether that is the server's `default`."""
        return await self._driver.run(calls.fetch(calls.RETENTION))

    async def set(
        self, *, journal_days: float | None = None, journal_turns: int | None = None, failed_days: float | None = None
    ) -> Json:
        """Say how long the past is kept; what is not given is kept. Older turns are removed soon, and for good.

        Args:
            journal_days: Turns and changes older than that are removed.
            journal_turns: So are those before the last so many turns of a session.
            failed_days: Failed attempts older than that are removed.

        Raises:
            InvalidRequest: A number that cannot be one.
            Forbidden: The key is no admin's.
        """
        fields = {"journal_days": journal_days, "journal_turns": journal_turns, "failed_days": failed_days}
        return await self._driver.run(calls.keep(fields))

    async def reset(self) -> None:
        """Let the server's default hold. Raises Forbidden."""
        await self._driver.run(calls.remove(calls.RETENTION))


class Retention:
    """`client.retention`, of the key's tenant."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def get(self) -> Json:
        """`journal_days`, `journal_turns`, `failed_days` (None: kept), and whether that is the server's `default`."""
        return self._driver.run(calls.fetch(calls.RETENTION))

    def set(
        self, *, journal_days: float | None = None, journal_turns: int | None = None, failed_days: float | None = None
    ) -> Json:
        """Say how long the past is kept; what is not given is kept. Older turns are removed soon, and for good.

        Args:
            journal_days: Turns and changes older than that are removed.
            journal_turns: So are those before the last so many turns of a session.
            failed_days: Failed attempts older than that are removed.

        Raises:
            InvalidRequest: A number that cannot be one.
            Forbidden: The key is no admin's.
        """
        fields = {"journal_days": journal_days, "journal_turns": journal_turns, "failed_days": failed_days}
        return self._driver.run(calls.keep(fields))

    def reset(self) -> None:
        """Let the server's default hold. Raises Forbidden."""
        self._driver.run(calls.remove(calls.RETENTION))
