"""Reception: from a message that has arrived whole to the replies about it: validators, then the one Handoff.

Invariant: a success that comes out of here is one that Handoff gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from mdacore import Body, Client, Content, Envelope, Handed, Reply, Session
from mdacore_edge_smtp import events
from mdacore_edge_smtp.clients import utf8_word
from mdacore_edge_smtp.results import HeaderBroken, HeaderTooLarge, without_claims
from mdacore_edge_smtp.session_wiring import SessionWiring
from mdacore_edge_smtp.trace import has_looped, received_field
from mdacore_edge_smtp.transaction import Transaction
from mdacore_edge_smtp.verdicts import reply_to_disk_error, verdict

MESSAGE_OK = Reply(code=250, enhanced="2.0.0", text="Ok")
TOO_MANY_HOPS = Reply(code=554, enhanced="5.4.6", text="Too many hops")
HEADER_TOO_LARGE = Reply(code=554, enhanced="5.6.0", text="Header too large")
HEADER_BROKEN = Reply(code=554, enhanced="5.6.0", text="A line of the header is no field")


class Receiver(Session, Protocol):
    """The session whose message it is."""

    def note_message_rejected(self, reply: Reply) -> None:
        """Log and count that this edge, or a validator, has refused the message."""


def take_message(session: Receiver, transaction: Transaction, wiring: SessionWiring) -> Sequence[Reply]:
    """One reply for each recipient, in their order; or a single one where nothing was handed off.

    Blocks as the disk, validators and Handoff do; raises only what interrupts the greenlet.
    """
    objection: Reply | None
    try:
        content = _believable(transaction, transaction.body.finish(), wiring)
    except OSError as error:
        objection = _note_spool_failure(transaction, error, wiring)
    except HeaderTooLarge:
        objection = HEADER_TOO_LARGE
    except HeaderBroken:
        objection = HEADER_BROKEN
    else:
        envelope = _envelope(transaction, content, session.client, wiring)
        objection = _objection(session, transaction, envelope, wiring)
        if objection is None:
            return _hand_off(session, envelope, wiring)
    session.note_message_rejected(objection)
    return (objection,)


def _believable(transaction: Transaction, body: Body, wiring: SessionWiring) -> Content:
    """The message without what others have said in our name."""
    claims = wiring.own_results.claims(body, transaction.body.head)
    if claims:
        wiring.log.info(events.EDGE_RESULTS_REMOVED, transaction_id=transaction.id, count=len(claims))
    return without_claims(Content(body), claims)


def _envelope(transaction: Transaction, content: Content, client: Client, wiring: SessionWiring) -> Envelope:
    received_at = wiring.clock.now()
    if transaction.is_smtputf8:
        client = attrs.evolve(client, protocol=utf8_word(client.protocol))
    if wiring.config.received:
        field = received_field(
            client,
            hostname=wiring.hostname,
            transaction_id=transaction.id,
            recipients=transaction.recipients,
            received_at=received_at,
            is_smtputf8=transaction.is_smtputf8,
        )
        content = content.prepend(field)
    return transaction.envelope(content, client=client, received_at=received_at)


def _objection(session: Session, transaction: Transaction, envelope: Envelope, wiring: SessionWiring) -> Reply | None:
    if has_looped(transaction.body.head, max_hops=wiring.config.max_hops):
        return TOO_MANY_HOPS
    reply = verdict(wiring.validators.message, MESSAGE_OK, session, envelope)
    return None if reply.is_success else reply


def _hand_off(session: Session, envelope: Envelope, wiring: SessionWiring) -> Sequence[Reply]:
    replies = wiring.handoff.accept(envelope)
    checks = wiring.validators.queued
    success = next((reply for reply in replies if reply.is_success), None) if checks else None
    if success is None:
        return replies
    said = verdict(checks, success, session, Handed(envelope=envelope, replies=replies))
    # The message is ours: an objection comes too late, only the text of a success may change.
    return [said if reply.is_success else reply for reply in replies] if said.is_success else replies


def _note_spool_failure(transaction: Transaction, error: OSError, wiring: SessionWiring) -> Reply:
    reply = reply_to_disk_error(error)
    wiring.log.error(events.EDGE_SPOOL_FAILED, transaction_id=transaction.id, error=str(error), reply=str(reply))
    return reply
