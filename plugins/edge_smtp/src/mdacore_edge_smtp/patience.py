"""Patience: until when a session may wait for its client. Pure; time comes in as an argument.

One number a session, which somebody else compares with the clock now and then: a timer for each command would cost more
than the command. Invariant: octets that trickle in do not buy a command more time, and a message only what the minimum
rate says.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Timeouts:
    """In seconds; `data_min_rate_bytes` in octets a second. RFC 5321 §4.5.3.2.7 wants 5 minutes for a command."""

    command_timeout_s: float
    data_timeout_s: float
    data_min_rate_bytes: float
    send_timeout_s: float
    session_timeout_s: float
    handshake_timeout_s: float

    @property
    def shortest_s(self) -> float:
        """The shortest of them all."""
        within_a_session = min(self.command_timeout_s, self.data_timeout_s, self.send_timeout_s)
        return min(within_a_session, self.handshake_timeout_s, self.session_timeout_s)


class Patience:
    """One session's. All times are monotonic seconds.

    Attributes:
        deadline_at: what the session waits for is too late after this. Without meaning while it does not wait.
    """

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self._timeouts = timeouts
        self._session_ends_at = now + timeouts.session_timeout_s
        self._message_due_at = now
        self.deadline_at = now + timeouts.command_timeout_s

    def expect_command(self, now: float) -> None:
        """The client has its replies and it is its turn."""
        self.deadline_at = min(now + self._timeouts.command_timeout_s, self._session_ends_at)

    def expect_message(self, now: float) -> None:
        """The client has been told to send its message."""
        self._message_due_at = now + self._timeouts.data_timeout_s
        self.deadline_at = min(self._message_due_at, self._session_ends_at)

    def note_message_grown(self, size_bytes: int, now: float) -> None:
        """Some of the message has come: it is due as much later as the minimum rate says; silence has its own limit."""
        self._message_due_at += size_bytes / self._timeouts.data_min_rate_bytes
        self.deadline_at = min(self._message_due_at, now + self._timeouts.data_timeout_s, self._session_ends_at)

    def expect_acceptance(self, now: float) -> None:
        """The client is to take our replies, also when the session's time is over."""
        self.deadline_at = now + self._timeouts.send_timeout_s

    def expect_handshake(self, began_at: float) -> None:
        """The client has begun, or is to begin, a TLS handshake; nothing that it sends on the way buys it more time."""
        self.deadline_at = min(began_at + self._timeouts.handshake_timeout_s, self._session_ends_at)

    def expect_close(self, now: float, linger_s: float) -> None:
        """The client is to close."""
        self.deadline_at = now + linger_s
