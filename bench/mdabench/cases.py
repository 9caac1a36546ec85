"""The ways to load a server, one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """How the generator talks to a target."""

    name: str
    sessions: int = 20
    size_bytes: int = 2048
    messages_a_connection: int = 0  # 0: all of a session's messages on one connection
    is_pipelined: bool = False  # MAIL, RCPT and DATA in one write (RFC 2920)
    sync_delay_ms: float = 0.0  # how much longer each sync of the target takes

    def __str__(self) -> str:
        """What it does, in words."""
        sessions = "one session" if self.sessions == 1 else f"{self.sessions} sessions"
        reuse = f"{self.messages_a_connection} a connection" if self.messages_a_connection else "many a connection"
        pipelined = ", pipelined" if self.is_pipelined else ""
        slow = f", each sync {self.sync_delay_ms:g} ms slower" if self.sync_delay_ms else ""
        return f"{self.size_bytes} bytes a message, {sessions}, {reuse}{pipelined}{slow}"


CASES = {
    case.name: case
    for case in (
        Case(name="2k-20s"),
        Case(name="2k-20s-pipelined", is_pipelined=True),
        Case(name="2k-20s-single", messages_a_connection=1),
        Case(name="2k-100s", sessions=100),
        Case(name="2k-1s", sessions=1),
        Case(name="50k-20s", size_bytes=50_000),
        Case(name="2k-20s-slowsync", sync_delay_ms=5.0),
        Case(name="2k-100s-slowsync", sessions=100, sync_delay_ms=5.0),
    )
}
