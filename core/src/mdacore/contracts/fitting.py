"""fits: what a Query asks for, in one place: storages that look at entries one by one need nothing else. Pure."""

from __future__ import annotations

from mdacore.contracts.storage import Query, QueueEntry
from mdacore.words import domain_of, fold_domain, mailbox_key


def fits(entry: QueueEntry, query: Query) -> bool:
    """Whether the entry is one of those that the query asks for; its `limit` is the caller's to keep.

    Addresses are compared as mailboxes are: the local part exactly, the domain folded (RFC 5321 §2.4). An entry without
    a recipient is one whose record is damaged: nobody knows its sender.
    """
    return (
        (not query.queue or entry.queue == query.queue)
        and (not query.queue_ids or entry.queue_id in query.queue_ids)
        and (not query.states or entry.state in query.states)
        and (query.attempts is None or entry.attempts == query.attempts)
        and (query.sender is None or _is_sender(query.sender, entry))
        and (not query.recipient or _is_recipient(query.recipient, entry))
        and (not query.domain or _has_domain(query.domain, entry))
    )


def _is_sender(address: str, entry: QueueEntry) -> bool:
    return bool(entry.recipients) and mailbox_key(address) == mailbox_key(entry.sender)


def _is_recipient(address: str, entry: QueueEntry) -> bool:
    wanted = mailbox_key(address)
    return any(mailbox_key(rcpt) == wanted for rcpt, _ in entry.recipients)


def _has_domain(domain: str, entry: QueueEntry) -> bool:
    wanted = fold_domain(domain)
    return any(domain_of(rcpt) == wanted for rcpt, _ in entry.recipients)
