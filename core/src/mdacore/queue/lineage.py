"""Lineage: which of the client's recipients each recipient stems from that policies have made of them. Pure.

A proxy queue needs it: there each recipient's reply is what became of their own mail. Policies rewrite, add, leave out
and merge recipients and need not say so; what cannot be known for certain is counted for too many, never for too few.
Invariant: a recipient that mail is attempted for in somebody's stead is never without that somebody in its origins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from mdacore.words import Envelope, Recipient, mailbox_key

KeyT = TypeVar("KeyT")
RecipientKey = tuple[tuple[str, str], tuple[str, ...], str]
"""What tells two recipients of one envelope apart, whatever their numbers."""
Lineage = Mapping[RecipientKey, frozenset[int]]
"""For each recipient of one envelope the places in the client's list that it stems from; empty = a policy added it."""


def key_of(recipient: Recipient) -> RecipientKey:
    """Equal for duplicates: the same mailbox with the same wishes for notices (RFC 3461)."""
    return mailbox_key(recipient.address), recipient.notify, recipient.orcpt


def of_client(recipients: Sequence[Recipient]) -> Lineage:
    """The lineage of what a client said: a recipient and its duplicates stem from all of their places."""
    return _merged((key_of(recipient), frozenset({place})) for place, recipient in enumerate(recipients))


def inherited(
    before: Envelope, lineage: Lineage, after: Sequence[Envelope]
) -> tuple[Sequence[Lineage], frozenset[int]]:
    """The lineage of each envelope that a policy made of one; and the places that it left out of all of them.

    A recipient is known again by the address that it had, or by its `original_address`. Who is new is taken for those
    whom the policy left out; where it left out nobody, it has added them.
    """
    names = _names(before, lineage)
    found = [[(key_of(rcpt), _known(rcpt, names)) for rcpt in envelope.recipients] for envelope in after]
    known = [origins for recipients in found for _, origins in recipients]
    left_out = frozenset[int]().union(*lineage.values()).difference(*filter(None, known))
    lineages = [_merged((key, left_out if origins is None else origins) for key, origins in found_) for found_ in found]
    return lineages, frozenset() if None in known else left_out


def _names(before: Envelope, lineage: Lineage) -> Mapping[tuple[str, str], frozenset[int]]:
    """By every address under which a recipient may be known again."""
    return _merged(
        (mailbox_key(address), lineage[key_of(recipient)])
        for recipient in before.recipients
        for address in filter(None, (recipient.address, recipient.original_address))
    )


def _merged(found: Iterable[tuple[KeyT, frozenset[int]]]) -> dict[KeyT, frozenset[int]]:
    merged: dict[KeyT, frozenset[int]] = {}
    for key, origins in found:
        merged[key] = merged.get(key, frozenset()) | origins
    return merged


def _known(recipient: Recipient, names: Mapping[tuple[str, str], frozenset[int]]) -> frozenset[int] | None:
    """None = its addresses are those of nobody."""
    origins = names.get(mailbox_key(recipient.original_address)) if recipient.original_address else None
    return names.get(mailbox_key(recipient.address)) if origins is None else origins
