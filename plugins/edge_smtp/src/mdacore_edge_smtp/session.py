"""SmtpSession: what a client's commands mean for its mail: validators, recipients, and one Handoff for each message.

No sockets and no framing in here: the protocol's events come in and its questions are answered. Invariants: success
after a message is only ever a reply that Handoff gave; what is neither ours nor allowed to this client is refused
before any validator is asked; after a message nothing of its transaction is left, and no file; after a TLS handshake
nothing of what the client said before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from mdacore import Client, Greeting, MailCommand, RcptCommand, Reply, domain_of
from mdacore_edge_smtp import events
from mdacore_edge_smtp.clients import Acquaintance, identity_name
from mdacore_edge_smtp.incoming import IncomingBody
from mdacore_edge_smtp.protocol import (
    AuthAttempt,
    Connected,
    DataCommand,
    Event,
    MessageEnded,
    MessageOctets,
    MessageRefused,
    Misuse,
    ResetCommand,
    ServerProtocol,
    TlsCommand,
    XclientCommand,
)
from mdacore_edge_smtp.reception import take_message
from mdacore_edge_smtp.recipients import RELAYING_DENIED
from mdacore_edge_smtp.session_wiring import SessionWiring
from mdacore_edge_smtp.transaction import Transaction
from mdacore_edge_smtp.verdicts import auth_verdict, reply_for_all, verdict

READY_FOR_TLS = Reply(code=220, enhanced="2.0.0", text="Ready to start TLS")
ENCRYPTED = Reply(code=220, enhanced="2.0.0", text="Encrypted")
TLS_FIRST = Reply(code=530, enhanced="5.7.0", text="Must issue a STARTTLS command first")
AUTH_FIRST = Reply(code=530, enhanced="5.7.0", text="Authentication required")
BAD_XCLIENT = Reply(code=501, enhanced="5.5.4", text="Bad address in XCLIENT")
NO_MEMORY = Reply(code=452, enhanced="4.3.1", text="Too much mail on its way, try again later")
SENDER_OK = Reply(code=250, enhanced="2.1.0", text="Sender ok")
RCPT_OK = Reply(code=250, enhanced="2.1.5", text="Recipient ok")
TOO_MANY_REFUSED = Reply(code=421, enhanced="4.7.0", text="Too many recipients refused")
RESET_OK = Reply(code=250, enhanced="2.0.0", text="Ok")
SEND_MESSAGE = Reply(code=354, text="End data with <CR><LF>.<CR><LF>")
SEND_CHUNKS = Reply(code=250, enhanced="2.0.0", text="Ok")

CLOSING_CODES = frozenset((421, 521))


class SmtpSession:
    """One connection, as validators see it (the Session contract), and the one who answers the protocol.

    Attributes:
        accepted_reply: the last message's success; whoever sends it sets None once the client shows that it has it.
        accepted_count, rejected_count: messages accepted; senders, recipients and messages refused.
    """

    def __init__(self, wiring: SessionWiring, protocol: ServerProtocol, client: Client) -> None:
        self.accepted_reply: Reply | None = None
        self.accepted_count = 0
        self.rejected_count = 0
        self._wiring = wiring
        self._protocol = protocol
        self._known = Acquaintance(client)
        self._tls_refusal: Reply | None = None
        self._transaction: Transaction | None = None
        self._transaction_count = 0
        self._refused_rcpt_count = 0
        self._make_offer()

    @property
    def client(self) -> Client:
        """The facts known so far."""
        return self._known.client

    @property
    def is_tls(self) -> bool:
        """The connection is encrypted."""
        return self._known.is_tls

    @property
    def notes(self) -> dict[str, object]:
        """Validators' own memory for this session."""
        return self._known.notes

    @property
    def sender(self) -> str | None:
        """The open transaction's reverse-path, None outside of one."""
        return None if self._transaction is None else self._transaction.sender

    @property
    def recipients(self) -> Sequence[str]:
        """The addresses accepted so far in this transaction."""
        return () if self._transaction is None else self._transaction.recipients

    def handle(self, event: Event) -> None:
        """Act on an event, and answer it if it is a question. Blocks as validators, the spool and Handoff do.

        Raises only what interrupts this greenlet; the question stays unanswered then.
        """
        _HANDLERS[type(event)](self, event)

    def tls_started(self) -> None:
        """The handshake is done, of STARTTLS or at once, and the protocol knows. Blocks as validators do.

        All that the client said in clear is forgotten, and what validators noted of it (RFC 3207 §4.2); their notes
        from `connect` stay, since those are not the client's words. A validator's refusal is told at the next greeting,
        ours or the client's, and ends the connection at once where its code says so.
        """
        self._end_transaction()
        self._known.encrypted()
        self._make_offer()
        reply = verdict(self._wiring.validators.tls, ENCRYPTED, self)
        if reply.is_success:
            return
        self._note_rejected(events.EDGE_TLS_REJECTED, reply)
        self._tls_refusal = reply
        if reply.code in CLOSING_CODES:
            self._protocol.close(reply, reason="refused")

    def close(self) -> None:
        """The connection is over: nothing is left of an unfinished message. Idempotent."""
        self._end_transaction()

    # --- before the message

    def _connected(self, _: Connected) -> None:
        self._protocol.answer(self._tls_refusal or self._welcome())

    def _welcome(self) -> Reply:
        service = "LMTP" if self._wiring.is_lmtp else "ESMTP"
        ready = Reply(code=220, enhanced="2.0.0", text=f"{self._wiring.hostname} {service}")
        reply = verdict(self._wiring.validators.connect, ready, self)
        self._known.keep_notes()
        return reply

    def _greeting(self, greeting: Greeting) -> None:
        ready = Reply(code=250, enhanced="2.0.0", text=self._wiring.hostname)
        reply = self._tls_refusal or verdict(self._wiring.validators.helo, ready, self, greeting)
        if reply.is_success:
            self._end_transaction()
            self._known.greeted(greeting)
        else:
            self._note_rejected(events.EDGE_HELO_REJECTED, reply, helo=greeting.name)
        self._protocol.answer(reply)

    def _start_tls(self, _: TlsCommand) -> None:
        self._end_transaction()
        self._protocol.answer(READY_FOR_TLS)

    def _auth(self, attempt: AuthAttempt) -> None:
        said = attempt.credentials
        identity, reply = auth_verdict(self._wiring.validators.auth, self, said)
        if identity is None:
            user = identity_name(said.authcid)
            fields = {"ip": self.client.ip, "user": user, "mechanism": said.mechanism, "reply": str(reply)}
            self._wiring.log.info(events.EDGE_AUTH_FAILED, **fields)
            if reply.is_permanent:
                self._wiring.admission.note_auth_failure(self.client.ip, self._wiring.clock.monotonic())
        else:
            self._known.authenticated(identity.name)
            fields = {"identity": self.client.identity, "mechanism": said.mechanism}
            self._wiring.log.info(events.EDGE_AUTHENTICATED, **fields)
        self._protocol.answer(reply)

    def _xclient(self, command: XclientCommand) -> None:
        """Somebody we trust speaks for another: all begins anew, with that one as the client."""
        try:
            self._known.described(command.attributes)
        except ValueError:
            self._protocol.answer(BAD_XCLIENT)
            return
        self._end_transaction()
        self._make_offer()
        self._refused_rcpt_count = 0
        client, proxy_ip = self.client, self._known.peer_ip
        fields = {"ip": client.ip, "host": client.host, "identity": client.identity, "proxy_ip": proxy_ip}
        self._wiring.log.info(events.EDGE_CLIENT_REPLACED, **fields)
        reply = self._welcome()
        if reply.is_success:
            self._protocol.answer(reply)
        else:
            self._protocol.close(reply, reason="refused")

    def _mail(self, command: MailCommand) -> None:
        reply = self._gate() if self._wiring.has_gate else None
        if reply is None:
            reply = self._wiring.handoff.refusal(command.size_bytes)
        if reply is None and self._wiring.handoff.spool_path is None:
            reply = None if self._wiring.budget.has_room_for(command.size_bytes) else NO_MEMORY
        if reply is None:
            reply = verdict(self._wiring.validators.mail, SENDER_OK, self, command)
        if reply.is_success:
            self._transaction = self._new_transaction(command)
        else:
            self._note_rejected(events.EDGE_MAIL_REJECTED, reply, sender=command.sender)
        self._protocol.answer(reply)

    def _gate(self) -> Reply | None:
        config = self._wiring.config
        if config.require_tls and not self.is_tls:
            return TLS_FIRST
        return AUTH_FIRST if config.require_auth and not self.client.identity else None

    def _rcpt(self, command: RcptCommand) -> None:
        wiring, transaction, said = self._wiring, self._current, command.address
        reply: Reply | None = None
        if domain_of(said) not in wiring.open_domains:
            command, reply = self._resolved(command)
        if reply is None:
            reply = verdict(wiring.validators.rcpt, RCPT_OK, self, command)
        if reply.is_success:
            if command.parameters or command.address != said:
                transaction.note_wishes(command, said)
            transaction.recipients.append(command.address)
        else:
            reply = self._refusal_of_rcpt(reply)
            self._note_rejected(events.EDGE_RCPT_REJECTED, reply, sender=self.sender, rcpt=said)
        self._protocol.answer(reply)

    def _refusal_of_rcpt(self, reply: Reply) -> Reply:
        """This, or the end for whoever tries out which addresses there are."""
        self._refused_rcpt_count += 1
        limit = self._wiring.config.max_refused_recipients
        return TOO_MANY_REFUSED if limit and self._refused_rcpt_count > limit else reply

    def _resolved(self, command: RcptCommand) -> tuple[RcptCommand, Reply | None]:
        """The command with the address that its mail goes to; or the refusal."""
        found = self._wiring.recipients.resolve(command.address)
        refusal = None if found.refusal is RELAYING_DENIED and self._may_relay else found.refusal
        if found.address != command.address:
            command = attrs.evolve(command, address=found.address)
        return command, refusal

    @property
    def _may_relay(self) -> bool:
        wiring = self._wiring
        is_user = wiring.config.relay_for_authenticated and bool(self.client.identity)
        return is_user or self.client.ip in wiring.relay_networks

    def _reset(self, _: ResetCommand) -> None:
        reply = verdict(self._wiring.validators.reset, RESET_OK, self)
        if reply.is_success:
            self._end_transaction()
        self._protocol.answer(reply)

    # --- the message

    def _data(self, command: DataCommand) -> None:
        default = SEND_CHUNKS if command.is_chunked else SEND_MESSAGE
        reply = verdict(self._wiring.validators.data, default, self)
        if reply.code >= 400:
            self.note_message_rejected(reply)
            if command.is_chunked:
                self._end_transaction()
        self._protocol.answer(reply)

    def _octets(self, event: MessageOctets) -> None:
        self._current.body.write(event.data)

    def _message_refused(self, event: MessageRefused) -> None:
        self.note_message_rejected(event.reply)
        self._end_transaction()

    def _message_ended(self, _: MessageEnded) -> None:
        transaction = self._current
        try:
            replies = take_message(self, transaction, self._wiring)
        finally:
            self._end_transaction()
        if self._wiring.is_lmtp and len(replies) == len(transaction.recipients):
            self._note_accepted(max(replies, key=_is_success))
            self._protocol.answer_each(replies)
        else:
            reply = reply_for_all(replies)
            self._note_accepted(reply)
            self._protocol.answer(reply)

    # --- bookkeeping

    def note_message_rejected(self, reply: Reply) -> None:
        """For `take_message`: log and count it."""
        self._note_rejected(
            events.EDGE_MESSAGE_REJECTED,
            reply,
            transaction_id=self._current.id,
            sender=self.sender,
            rcpt_count=len(self.recipients),
        )

    def _note_accepted(self, reply: Reply) -> None:
        if reply.is_success:
            self.accepted_reply = reply
            self.accepted_count += 1
            self._refused_rcpt_count = 0

    def _note_rejected(self, event: str, reply: Reply, **fields: object) -> None:
        self.rejected_count += 1
        self._wiring.log.info(event, reply=str(reply), **fields)

    def _make_offer(self) -> None:
        may_xclient = self._known.peer_ip in self._wiring.xclient_from
        offer = self._wiring.offers.of(is_tls=self.is_tls, may_xclient=may_xclient, is_replaced=self._known.is_replaced)
        self._protocol.offer_from_now(offer)

    def _new_transaction(self, command: MailCommand) -> Transaction:
        self._transaction_count += 1
        wiring = self._wiring
        body = IncomingBody(wiring.handoff.spool_path, wiring.config.spool_threshold_bytes, wiring.budget)
        return Transaction(command, f"{self.client.session_id}.{self._transaction_count}", body)

    @property
    def _current(self) -> Transaction:
        if self._transaction is None:
            raise Misuse("no transaction is open")
        return self._transaction

    def _end_transaction(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.discard()


def _is_success(reply: Reply) -> bool:
    return reply.is_success


_HANDLERS: Mapping[type[object], Callable[[SmtpSession, Any], None]] = {
    Connected: SmtpSession._connected,
    Greeting: SmtpSession._greeting,
    TlsCommand: SmtpSession._start_tls,
    AuthAttempt: SmtpSession._auth,
    XclientCommand: SmtpSession._xclient,
    MailCommand: SmtpSession._mail,
    RcptCommand: SmtpSession._rcpt,
    ResetCommand: SmtpSession._reset,
    DataCommand: SmtpSession._data,
    MessageOctets: SmtpSession._octets,
    MessageEnded: SmtpSession._message_ended,
    MessageRefused: SmtpSession._message_refused,
}
