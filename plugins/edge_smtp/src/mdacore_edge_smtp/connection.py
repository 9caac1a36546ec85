"""Connection: carries octets between one transport and one protocol, and ends it in order, whoever wants it ended.

Invariants: one greenlet receives and says what is sent; others only mark it and wake it (`end`, `end_if_overdue`), so
that no exception strikes between two statements; a reply leaves before the event loop waits for anything.
"""

from __future__ import annotations

import attrs
import gevent

from mdacore import Clock, EventLog, Reply
from mdacore_edge_smtp import events
from mdacore_edge_smtp.outbox import Outbox
from mdacore_edge_smtp.patience import Patience
from mdacore_edge_smtp.protocol import CLOSED, NEED_DATA, NEED_TLS, QUIT, MessageEnded, ServerProtocol
from mdacore_edge_smtp.session import SmtpSession
from mdacore_edge_smtp.tls import ChooseContext
from mdacore_edge_smtp.transport import PIECE_SIZE_BYTES, SecureTransport, Transport

LINGER_S = 2.0
"""How long a client whose connection we end may take to read why."""

_CLIENT_LEFT = "client left"
_ENDED_BY_CLIENT = frozenset((QUIT, _CLIENT_LEFT))

TIMED_OUT = Reply(code=421, enhanced="4.4.2", text="Timeout, closing connection")


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


@attrs.frozen(kw_only=True)
class Opening:
    """What comes before the greeting.

    Attributes:
        choose_context: for TLS, at once or when the client asks for it.
        is_tls: the handshake comes first (RFC 8314 §3).
        greet_delay_s: how long to wait for clients that talk before their turn.
    """

    choose_context: ChooseContext
    is_tls: bool = False
    greet_delay_s: float = 0.0


class Connection:
    """One client's connection. `run` is its greenlet's work; the rest may be called from other greenlets."""

    def __init__(
        self,
        transport: Transport,
        *,
        opening: Opening,
        protocol: ServerProtocol,
        session: SmtpSession,
        patience: Patience,
        slowness: Slowness,
        outbox: Outbox,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._transport = transport
        self._opening = opening
        self._protocol = protocol
        self._session = session
        self._patience = patience
        self._slowness = slowness
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._ending: Ending | None = None
        self._nap: gevent.Greenlet[..., None] | None = None
        self._error_count = 0
        self._taken_bytes = 0

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
        if self._nap is not None:
            self._nap.kill(block=False)
        self._transport.interrupt(receiving=self._is_to_end, sending=is_forced)

    def end_if_overdue(self, now: float) -> None:
        """Force the end if the client has used up its time (monotonic seconds)."""
        if self._transport.is_waiting and now > self._patience.deadline_at:
            self.end(TIMED_OUT, reason="timeout", is_forced=True)

    # --- for its greenlet

    def run(self) -> None:
        """Serve the client until either side ends it; the socket is closed then, and nothing is left of the session.

        Raises only what interrupts the greenlet: the connection is closed without another word.
        """
        started_at = self._clock.monotonic()
        self._log.debug(events.EDGE_SESSION_OPENED, ip=self._session.client.ip)
        self._transport.open()
        try:
            self._begin()
            self._converse()
        except OSError as error:
            self._protocol.close(reason=self._ending.reason if self._ending else f"connection lost: {error.strerror}")
            self._note_unconfirmed()
        finally:
            self._protocol.close(reason="interrupted")
            self._session.close()
            self._outbox.empty()
            self._transport.close()
            self._log.info(
                events.EDGE_SESSION_CLOSED,
                ip=self._session.client.ip,
                helo=self._session.client.helo,
                tls=self._transport.tls_version,
                reason=self._protocol.end_reason,
                accepted_count=self._session.accepted_count,
                rejected_count=self._session.rejected_count,
                duration_s=round(self._clock.monotonic() - started_at, 3),
            )

    def _begin(self) -> None:
        if self._opening.is_tls:
            self._start_tls()
        if self._opening.greet_delay_s > 0:
            self._sleep(self._opening.greet_delay_s)
            data = self._transport.receive_at_once()
            if data:
                self._take(data)
            elif data is not None:
                self._protocol.close(reason=_CLIENT_LEFT)

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
                self._send_all()
                self._part()
                return
            elif event is NEED_TLS:
                self._send_all()
                self._start_tls()
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
            if self._transport.unsent:
                self._send_rest()
            try:
                data = self._transport.receive()
            except OSError:
                if not self._is_to_end:
                    raise
        if data:
            self._take(data)
        elif data is not None and not self._is_to_end:
            self._protocol.close(reason=_CLIENT_LEFT)
            self._note_unconfirmed()

    def _take(self, data: bytes) -> None:
        self._session.accepted_reply = None
        self._transport.is_in_flow = is_in_flow = self._protocol.is_message_open
        if is_in_flow:
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
        if self._transport.unsent:
            self._send_rest()
        self._outbox.post(self._transport, octets)
        self._transport.is_in_flow = False
        self._expect_client()

    def _send_all(self) -> None:
        """Let the replies go, and wait until the client has taken them."""
        self._flush()
        self._outbox.empty()
        if self._transport.unsent:
            self._send_rest()

    def _send_rest(self) -> None:
        """Wait until the client has taken what the outbox could not send. Raises OSError: it never will."""
        self._patience.expect_acceptance(self._clock.monotonic())
        self._transport.send_rest()
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
            self._sleep(self._slowness.delay_s)

    def _sleep(self, delay_s: float) -> None:
        """Wait for so long, or until somebody wants the connection to end."""
        if self._ending is not None:
            return
        self._nap = gevent.spawn(self._clock.sleep, delay_s)
        try:
            self._nap.join()
        finally:
            self._nap.kill(block=False)
            self._nap = None

    def _part(self) -> None:
        self._transport.say_goodbye()
        if self._protocol.end_reason not in _ENDED_BY_CLIENT:
            self._patience.expect_close(self._clock.monotonic(), LINGER_S)
            self._transport.linger()

    def _start_tls(self) -> None:
        """Shake hands, and forget what was said in clear; or close the protocol, without a word.

        Raises OSError: the connection is lost, or what comes is not TLS.
        """
        began_at = self._clock.monotonic()
        early: bytes | None = None
        self._transport = secure = SecureTransport(self._transport, self._opening.choose_context)
        while not (secure.is_established or self._protocol.end_reason):
            if secure.unsent:
                self._send_rest()
            self._patience.expect_handshake(began_at)
            early = secure.receive()
            if self._ending is not None and self._is_to_end:
                self._protocol.close(reason=self._ending.reason)
            elif early == b"":
                self._protocol.close(reason=_CLIENT_LEFT)
        if not self._protocol.end_reason:
            self._go_on_under_tls(early or b"")

    def _go_on_under_tls(self, early: bytes) -> None:
        if not self._opening.is_tls:
            self._protocol.tls_started()
        self._session.tls_started()
        self._expect_client()
        if early:
            self._take(early)

    def _note_unconfirmed(self) -> None:
        if self._session.accepted_reply is not None:
            self._log.warning(events.EDGE_REPLY_UNCONFIRMED, reply=str(self._session.accepted_reply))
