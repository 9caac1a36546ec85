"""The limits that the protocol keeps by itself, and the count of what a client does wrong."""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """How much one client may ask of the protocol.

    Attributes:
        max_line_bytes: a command line with its CRLF; RFC 5321 §4.5.3.1.4 wants 512 and what the extensions add.
        max_message_size_bytes: as RFC 1870 §5 counts.
        max_excess_bytes: how much beyond that is read and thrown away before the connection is cut.
        max_recipients: in one transaction; RFC 5321 §4.5.3.1.8 wants 100 at least, but for who says so with LIMITS.
        max_excess_recipients: how many more of them are refused before the connection is cut.
        max_errors: commands in error without a message accepted in between.
        max_idle_commands: NOOP, RSET, EHLO, VRFY, empty chunks, DATA refused by the caller and the like without a
            message accepted in between; each one more is an error.
        max_messages: in one connection, whatever became of them (RFC 9422 calls it MAILMAX); one more MAIL ends it, and
            RSET or NOOP behind the last of them does too.
        max_auth_failures: attempts to authenticate that were refused; the last one ends the connection.
        line_ends: what becomes of a CR or LF that stands alone: ``"refuse"`` refuses the message or command,
            ``"normalize"`` takes it for CRLF. Neither makes it end a message. `normalizes` is the latter as a flag.
        is_strict_sync: a client that talks before it has read what it must wait for is disconnected: before the
            greeting, behind EHLO, DATA, AUTH and XCLIENT (RFC 2920 §3.1). Behind STARTTLS it always is.
        max_auth_line_bytes: a line of AUTH with its CRLF (RFC 4954 §4).
    """

    max_line_bytes: int = 2048
    max_message_size_bytes: int = 50 * 2**20
    max_excess_bytes: int = 16 * 2**20
    max_recipients: int = 1000
    max_excess_recipients: int = 1000
    max_errors: int = 20
    max_idle_commands: int = 100
    max_messages: int = 100
    max_auth_failures: int = 3
    line_ends: Literal["refuse", "normalize"] = "refuse"
    is_strict_sync: bool = True
    max_auth_line_bytes: int = 12_288
    normalizes: bool = attrs.field(init=False)

    @normalizes.default
    def _is_normalize(self) -> bool:
        return self.line_ends == "normalize"


class Strikes:
    """What a client has done wrong or for nothing since its last accepted message."""

    __slots__ = ("_idle_count", "_limits", "error_count")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle_count = 0
        self.error_count = 0

    def note_error(self) -> bool:
        """Count a command in error; True if there are too many now."""
        self.error_count += 1
        return self.error_count >= self._limits.max_errors

    def note_idle(self) -> bool:
        """Count a command that moves no mail; True if there are too many errors now."""
        self._idle_count += 1
        return self._idle_count > self._limits.max_idle_commands and self.note_error()

    def forgive(self) -> None:
        """A message was accepted."""
        self._idle_count = self.error_count = 0
