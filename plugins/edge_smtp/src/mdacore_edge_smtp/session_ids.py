"""Names for sessions: short, unique for all edges of all processes of a machine, in the order of time."""

from __future__ import annotations

from mdacore import Clock, SessionId

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


class SessionIds:
    """Makes an edge's session ids: the microsecond in which a session began, eleven digits to the base of 32."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> SessionId:
        """One that was not given before, also when the clock stands or goes back."""
        self._last = max(self._last + 1, int(self._clock.now() * 1_000_000))
        return SessionId(_base32(self._last))


def _base32(number: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(50, -1, -5))
