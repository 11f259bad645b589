"""How long to wait before a restart: nothing by default, as OTP; or longer each time, until it has been quiet."""

from __future__ import annotations

import math
from dataclasses import dataclass

from supervisors.errors import BadSpec


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with jitter; OTP has none, Pekko's `restartWithBackoff` is alike.

    Args:
        first_s: Seconds before the first restart.
        max_s: The longest wait; None is `first_s`, so that every wait is the same.
        factor: What each wait is longer by.
        jitter: Share of the wait that chance may add, 0 to 1, so that many do not come back together.
        reset_after_s: A child that ran for so long begins with `first_s` again.

    Raises:
        BadSpec: A value is not accepted.

    >>> [Backoff(0.5, 3.0).wait_s(tries) for tries in range(5)]
    [0.5, 1.0, 2.0, 3.0, 3.0]
    """

    first_s: float
    max_s: float | None = None
    factor: float = 2.0
    jitter: float = 0.0
    reset_after_s: float = 10.0

    def __post_init__(self) -> None:
        longest = self.first_s if self.max_s is None else self.max_s
        for where, value, least, most in (
            ("first_s", self.first_s, 0.0, math.inf),
            ("max_s", longest, self.first_s, math.inf),
            ("factor", self.factor, 1.0, math.inf),
            ("jitter", self.jitter, 0.0, 1.0),
            ("reset_after_s", self.reset_after_s, 0.0, math.inf),
        ):
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or not least <= value <= most:
                upper = "" if most == math.inf else f" to {most:g}"
                raise BadSpec(f"backoff {where}={value!r} is not accepted; give a number from {least:g}{upper}.")

    def wait_s(self, tries: int) -> float:
        """Seconds before the next restart when `tries` were made since it was last quiet, without jitter."""
        longest = self.first_s if self.max_s is None else self.max_s
        try:
            return float(min(longest, self.first_s * self.factor**tries))
        except OverflowError:  # long after the wait has reached its longest
            return float(longest if self.first_s else 0.0)
