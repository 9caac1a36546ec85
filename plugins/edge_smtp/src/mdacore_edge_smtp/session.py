"""SmtpSession: what a client's commands mean for its mail: validators, recipients, and one Handoff for each message.

No sockets and no framing in here: the protocol's events come in and its questions are answered. Invariants: success
after a message is only ever a reply that Handoff gave; a domain that is not ours is refused before any validator is
asked; after a message nothing of its transaction is left, and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from mdacore import (
    Body,
    Client,
    Content,
    Envelope,
    Greeting,
    Handed,
    MailCommand,
    RcptCommand,
    Reply,
    domain_of,
)
from mdacore_edge_smtp import events
from mdacore_edge_smtp.incoming import IncomingBody
from mdacore_edge_smtp.protocol import (
    POSTMASTER,
    Connected,
    DataCommand,
    Event,
    MessageEnded,
    MessageOctets,
    MessageRefused,
    Misuse,
    ResetCommand,
    ServerProtocol,
)
from mdacore_edge_smtp.session_wiring import SessionWiring
from mdacore_edge_smtp.trace import has_looped, received_field, sanitised
from mdacore_edge_smtp.transaction import Transaction
from mdacore_edge_smtp.verdicts import reply_for_all, reply_to_disk_error, verdict

SENDER_OK = Reply(code=250, enhanced="2.1.0", text="Sender ok")
RCPT_OK = Reply(code=250, enhanced="2.1.5", text="Recipient ok")
RESET_OK = Reply(code=250, enhanced="2.0.0", text="Ok")
SEND_MESSAGE = Reply(code=354, text="End data with <CR><LF>.<CR><LF>")
MESSAGE_OK = Reply(code=250, enhanced="2.0.0", text="Ok")
RELAYING_DENIED = Reply(code=550, enhanced="5.7.1", text="Relaying denied")
TOO_MANY_HOPS = Reply(code=554, enhanced="5.4.6", text="Too many hops")


class SmtpSession:
    """One connection, as validators see it (the Session contract), and the one who answers the protocol.

    Attributes:
        accepted_reply: the last message's success; whoever sends it sets None once the client shows that it has it.
        accepted_count, rejected_count: messages accepted; senders, recipients and messages refused.
    """

    is_tls = False  # there is no STARTTLS yet

    def __init__(self, wiring: SessionWiring, protocol: ServerProtocol, client: Client) -> None:
        self.client = client
        self.notes: dict[str, object] = {}
        self.accepted_reply: Reply | None = None
        self.accepted_count = 0
        self.rejected_count = 0
        self._wiring = wiring
        self._protocol = protocol
        self._transaction: Transaction | None = None
        self._transaction_count = 0

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

    def close(self) -> None:
        """The connection is over: nothing is left of an unfinished message. Idempotent."""
        self._end_transaction()

    # --- before the message

    def _connected(self, _: Connected) -> None:
        ready = Reply(code=220, enhanced="2.0.0", text=f"{self._wiring.hostname} ESMTP")
        self._protocol.answer(verdict(self._wiring.validators.connect, ready, self))

    def _greeting(self, greeting: Greeting) -> None:
        ready = Reply(code=250, enhanced="2.0.0", text=self._wiring.hostname)
        reply = verdict(self._wiring.validators.helo, ready, self, greeting)
        if reply.is_success:
            self._end_transaction()
            protocol = "SMTP" if greeting.verb == "HELO" else "ESMTP"
            self.client = attrs.evolve(self.client, helo=sanitised(greeting.name), protocol=protocol)
        else:
            self._note_rejected(events.EDGE_HELO_REJECTED, reply, helo=greeting.name)
        self._protocol.answer(reply)

    def _mail(self, command: MailCommand) -> None:
        reply = self._wiring.handoff.refusal(command.size_bytes)
        if reply is None:
            reply = verdict(self._wiring.validators.mail, SENDER_OK, self, command)
        if reply.is_success:
            self._transaction = self._new_transaction(command)
        else:
            self._note_rejected(events.EDGE_MAIL_REJECTED, reply, sender=command.sender)
        self._protocol.answer(reply)

    def _rcpt(self, command: RcptCommand) -> None:
        if command.address == POSTMASTER:
            command = attrs.evolve(command, address=self._wiring.postmaster)
        if domain_of(command.address) in self._wiring.domains:
            reply = verdict(self._wiring.validators.rcpt, RCPT_OK, self, command)
        else:
            reply = RELAYING_DENIED
        if reply.is_success:
            self._current.recipients.append(command.address)
        else:
            self._note_rejected(events.EDGE_RCPT_REJECTED, reply, sender=self.sender, rcpt=command.address)
        self._protocol.answer(reply)

    def _reset(self, _: ResetCommand) -> None:
        reply = verdict(self._wiring.validators.reset, RESET_OK, self)
        self._end_transaction()
        self._protocol.answer(reply)

    # --- the message

    def _data(self, _: DataCommand) -> None:
        reply = verdict(self._wiring.validators.data, SEND_MESSAGE, self)
        if reply.code >= 400:
            self._note_message_rejected(reply)
        self._protocol.answer(reply)

    def _octets(self, event: MessageOctets) -> None:
        self._current.body.write(event.data)

    def _message_refused(self, event: MessageRefused) -> None:
        self._note_message_rejected(event.reply)
        self._end_transaction()

    def _message_ended(self, _: MessageEnded) -> None:
        try:
            reply = self._take_message(self._current)
        finally:
            self._end_transaction()
        if reply.is_success:
            self.accepted_reply = reply
            self.accepted_count += 1
        self._protocol.answer(reply)

    def _take_message(self, transaction: Transaction) -> Reply:
        try:
            body = transaction.body.finish()
        except OSError as error:
            return self._note_spool_failure(transaction, error)
        envelope = self._envelope(transaction, body)
        reply = self._objection(transaction, envelope)
        if reply is not None:
            self._note_message_rejected(reply)
            return reply
        return self._hand_off(envelope)

    def _envelope(self, transaction: Transaction, body: Body) -> Envelope:
        received_at = self._wiring.clock.now()
        content = Content(body)
        if self._wiring.adds_received:
            field = received_field(
                self.client,
                hostname=self._wiring.hostname,
                transaction_id=transaction.id,
                recipients=transaction.recipients,
                received_at=received_at,
            )
            content = content.prepend(field)
        return transaction.envelope(content, client=self.client, received_at=received_at)

    def _objection(self, transaction: Transaction, envelope: Envelope) -> Reply | None:
        if has_looped(transaction.body.head, max_hops=self._wiring.max_hops):
            return TOO_MANY_HOPS
        reply = verdict(self._wiring.validators.message, MESSAGE_OK, self, envelope)
        return None if reply.is_success else reply

    def _hand_off(self, envelope: Envelope) -> Reply:
        replies = self._wiring.handoff.accept(envelope)
        reply = reply_for_all(replies)
        queued = self._wiring.validators.queued
        if queued and reply.is_success:
            said = verdict(queued, reply, self, Handed(envelope=envelope, replies=replies))
            # The message is ours: an objection comes too late, only the text of a success may change.
            return said if said.is_success else reply
        return reply

    # --- bookkeeping

    def _new_transaction(self, command: MailCommand) -> Transaction:
        self._transaction_count += 1
        body = IncomingBody(self._wiring.handoff.spool_path, self._wiring.spool_threshold_bytes)
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

    def _note_spool_failure(self, transaction: Transaction, error: OSError) -> Reply:
        reply = reply_to_disk_error(error)
        self.rejected_count += 1
        self._wiring.log.error(
            events.EDGE_SPOOL_FAILED, transaction_id=transaction.id, error=str(error), reply=str(reply)
        )
        return reply

    def _note_message_rejected(self, reply: Reply) -> None:
        self._note_rejected(
            events.EDGE_MESSAGE_REJECTED,
            reply,
            transaction_id=self._current.id,
            sender=self.sender,
            rcpt_count=len(self.recipients),
        )

    def _note_rejected(self, event: str, reply: Reply, **fields: object) -> None:
        self.rejected_count += 1
        self._wiring.log.info(event, reply=str(reply), **fields)


_HANDLERS: Mapping[type[object], Callable[[SmtpSession, Any], None]] = {
    Connected: SmtpSession._connected,
    Greeting: SmtpSession._greeting,
    MailCommand: SmtpSession._mail,
    RcptCommand: SmtpSession._rcpt,
    ResetCommand: SmtpSession._reset,
    DataCommand: SmtpSession._data,
    MessageOctets: SmtpSession._octets,
    MessageEnded: SmtpSession._message_ended,
    MessageRefused: SmtpSession._message_refused,
}
