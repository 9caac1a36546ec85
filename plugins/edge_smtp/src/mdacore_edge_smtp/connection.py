"""Connection: carries octets between one socket and one protocol, and ends it in order, whoever wants it ended.

Invariants: one greenlet reads the socket and says what is written; others only mark it and wake it (`end`,
`end_if_overdue`), so that no exception strikes between two statements; a reply leaves before the event loop waits for
anything.
"""

from __future__ import annotations

import contextlib
import enum

import attrs
import gevent
from gevent import socket

from mdacore import Clock, EventLog, Reply
from mdacore_edge_smtp import events
from mdacore_edge_smtp.outbox import Outbox
from mdacore_edge_smtp.patience import Patience
from mdacore_edge_smtp.protocol import CLOSED, NEED_DATA, QUIT, MessageEnded, ServerProtocol
from mdacore_edge_smtp.session import SmtpSession

PIECE_SIZE_BYTES = 65_536
"""What is read at once, what is taken before others have a turn, and what is thrown away at most before a close."""

_READ = 1
"""libev's EV_READ, which `loop.io` takes as a number."""

LINGER_S = 2.0
"""How long a client whose connection we end may take to read why."""

_CLIENT_LEFT = "client left"
_ENDED_BY_CLIENT = frozenset((QUIT, _CLIENT_LEFT))

TIMED_OUT = Reply(code=421, enhanced="4.4.2", text="Timeout, closing connection")


class _RepliesLeft(Exception):
    """Thrown into the greenlet that waits for its client: the client has not taken all that was sent."""


class Doing(enum.Enum):
    """What the connection's greenlet is doing."""

    WORKING = enum.auto()
    RECEIVING = enum.auto()
    SENDING = enum.auto()


@attrs.frozen
class Ending:
    """Somebody wants the connection to end: with this reply, at the next command or, if forced, whatever it does."""

    reply: Reply
    reason: str
    is_forced: bool


@attrs.frozen(kw_only=True)
class Slowness:
    """After more than `after_errors` errors, answers are held back for `delay_s`."""

    after_errors: int
    delay_s: float


class Connection:
    """One client's connection. `run` is its greenlet's work; the rest may be called from other greenlets."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        protocol: ServerProtocol,
        session: SmtpSession,
        patience: Patience,
        slowness: Slowness,
        outbox: Outbox,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._sock = sock
        self._protocol = protocol
        self._session = session
        self._patience = patience
        self._slowness = slowness
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._doing = Doing.WORKING
        self._ending: Ending | None = None
        self._error_count = 0
        self._taken_bytes = 0
        self._unsent = b""
        self._is_in_flow = False

    # --- for others

    @property
    def session_id(self) -> str:
        """The session's name."""
        return self._session.client.session_id

    def end(self, reply: Reply, *, reason: str, is_forced: bool = False) -> None:
        """End it with these words: at the next command, after a message that is on its way; or, if forced, now.

        Never blocks. What the session is working on is finished first, forced or not.
        """
        self._ending = Ending(reply, reason, is_forced)
        # A greenlet that waits gets an OSError there, or an end of file; one that does not wait is not interrupted.
        with contextlib.suppress(OSError):  # the client may be gone already
            if self._doing is Doing.RECEIVING and self._is_to_end:
                self._sock.shutdown(socket.SHUT_RD)
            elif self._doing is Doing.SENDING and is_forced:
                self._sock.shutdown(socket.SHUT_RDWR)

    def end_if_overdue(self, now: float) -> None:
        """Force the end if the client has used up its time (monotonic seconds)."""
        if self._doing is not Doing.WORKING and now > self._patience.deadline_at:
            self.end(TIMED_OUT, reason="timeout", is_forced=True)

    def send_now(self, octets: bytes) -> None:
        """For the outbox: send what the socket takes; the rest, and any error, is the greenlet's."""
        try:
            sent_bytes = self._sock.send(octets)
        except OSError:
            sent_bytes = 0
        if sent_bytes < len(octets):
            self._unsent = octets[sent_bytes:]
            if self._doing is Doing.RECEIVING:
                self._hub.cancel_wait(self._readable, _RepliesLeft())

    # --- for its greenlet

    def run(self) -> None:
        """Serve the client until either side ends it; the socket is closed then, and nothing is left of the session.

        Raises only what interrupts the greenlet: the connection is closed without another word.
        """
        started_at = self._clock.monotonic()
        self._log.debug(events.EDGE_SESSION_OPENED, ip=self._session.client.ip)
        self._sock.settimeout(0)  # it never waits by itself: the connection knows what for
        self._hub = gevent.get_hub()
        self._readable = self._hub.loop.io(self._sock.fileno(), _READ)
        try:
            self._converse()
        except OSError as error:
            self._protocol.close(reason=self._ending.reason if self._ending else f"connection lost: {error.strerror}")
            self._note_unconfirmed()
        finally:
            self._protocol.close(reason="interrupted")
            self._session.close()
            self._outbox.empty()
            self._readable.close()
            self._sock.close()
            self._log.info(
                events.EDGE_SESSION_CLOSED,
                ip=self._session.client.ip,
                helo=self._session.client.helo,
                reason=self._protocol.end_reason,
                accepted_count=self._session.accepted_count,
                rejected_count=self._session.rejected_count,
                duration_s=round(self._clock.monotonic() - started_at, 3),
            )

    def _converse(self) -> None:
        protocol, session = self._protocol, self._session
        while True:
            if self._ending is not None and self._is_to_end:
                protocol.close(self._ending.reply, reason=self._ending.reason)
            event = protocol.next_event()
            if event is NEED_DATA:
                self._flush()
                self._receive()
            elif event is CLOSED:
                self._flush()
                self._outbox.empty()
                if self._unsent:
                    self._send_rest()
                self._linger()
                return
            else:
                if type(event) is MessageEnded:
                    self._flush()
                session.handle(event)

    @property
    def _is_to_end(self) -> bool:
        ending = self._ending
        return ending is not None and (ending.is_forced or not self._protocol.is_message_open)

    def _receive(self) -> None:
        """Wait for what the client sends next, and take it. Returns at once where the connection is to end."""
        data: bytes | None = None
        while data is None and (self._ending is None or not self._is_to_end):
            if self._unsent:
                self._send_rest()
            self._doing = Doing.RECEIVING
            try:
                if not self._is_in_flow:  # nothing is there yet, and to find that out by `recv` costs an exception
                    self._hub.wait(self._readable)
                data = self._sock.recv(PIECE_SIZE_BYTES)
            except (BlockingIOError, _RepliesLeft):
                self._is_in_flow = False
            except OSError:
                if not self._is_to_end:
                    raise
            self._doing = Doing.WORKING
        if data:
            self._take(data)
        elif data is not None and not self._is_to_end:
            self._protocol.close(reason=_CLIENT_LEFT)
            self._note_unconfirmed()

    def _take(self, data: bytes) -> None:
        self._session.accepted_reply = None
        self._is_in_flow = self._protocol.is_message_open
        if self._is_in_flow:
            self._patience.note_message_grown(len(data), self._clock.monotonic())
        self._protocol.receive(data)
        # `recv` does not yield while the client keeps up, and a fast one would have the hub for itself.
        self._taken_bytes += len(data)
        if self._taken_bytes >= PIECE_SIZE_BYTES:
            self._taken_bytes = 0
            gevent.sleep(0)

    def _flush(self) -> None:
        """Let the replies go. Blocks only while the client has not taken earlier ones."""
        octets = self._protocol.data_to_send()
        if not octets:
            return
        if self._protocol.error_count != self._error_count:
            self._hold_back()
        if self._unsent:
            self._send_rest()
        self._outbox.post(self, octets)
        self._is_in_flow = False
        self._expect_client()

    def _send_rest(self) -> None:
        """Wait until the client has taken what the outbox could not send. Raises OSError: it never will."""
        self._patience.expect_acceptance(self._clock.monotonic())
        self._doing = Doing.SENDING
        rest, self._unsent = self._unsent, b""
        self._sock.settimeout(None)
        self._sock.sendall(rest)
        self._sock.settimeout(0)
        self._doing = Doing.WORKING
        self._expect_client()

    def _expect_client(self) -> None:
        now = self._clock.monotonic()
        if self._protocol.is_message_open:
            self._patience.expect_message(now)
        else:
            self._patience.expect_command(now)

    def _hold_back(self) -> None:
        self._error_count = self._protocol.error_count
        if self._slowness.delay_s > 0 and self._error_count > self._slowness.after_errors:
            self._clock.sleep(self._slowness.delay_s)

    def _linger(self) -> None:
        """Let the client read our last words: closing with octets unread would reset the connection under them."""
        if self._protocol.end_reason in _ENDED_BY_CLIENT:
            return
        self._patience.expect_close(self._clock.monotonic(), LINGER_S)
        self._doing = Doing.RECEIVING
        self._sock.settimeout(None)
        left_bytes = PIECE_SIZE_BYTES
        with contextlib.suppress(OSError):  # whatever goes wrong now, it is over
            self._sock.shutdown(socket.SHUT_WR)
            while left_bytes > 0 and (data := self._sock.recv(left_bytes)):
                left_bytes -= len(data)

    def _note_unconfirmed(self) -> None:
        if self._session.accepted_reply is not None:
            self._log.warning(events.EDGE_REPLY_UNCONFIRMED, reply=str(self._session.accepted_reply))
