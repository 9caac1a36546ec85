"""From whom the recipients stem that policies make: counted for too many rather than for too few."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from mdacore import Recipient
from mdacore.queue.intake import without_duplicates
from mdacore.queue.lineage import inherited, key_of, of_client
from mdacore.testing import make_envelope

A, B, C = "a@example.test", "b@example.test", "c@example.test"


def rewritten(recipient: Recipient, address: str) -> Recipient:
    """As a policy does that keeps to the contract."""
    return attrs.evolve(recipient, address=address, original_address=recipient.original_address or recipient.address)


def origins_after(before, *after):
    """By address, for envelopes that a policy made of what a client sent."""
    lineages, left_out = inherited(before, of_client(before.recipients), after)
    found = [
        {rcpt.address: set(lineage[key_of(rcpt)]) for rcpt in envelope.recipients}
        for envelope, lineage in zip(after, lineages, strict=True)
    ]
    return found, set(left_out)


class TestOfClient:
    def test_a_recipient_stems_from_itself_and_from_its_duplicates(self):
        recipients = make_envelope(A, B, "a@EXAMPLE.test").recipients

        assert {key_of(recipients[0]): {0, 2}, key_of(recipients[1]): {1}} == of_client(recipients)


class TestInherited:
    def test_what_is_kept_stems_from_itself(self):
        envelope = make_envelope(A, B)

        assert ([{A: {0}, B: {1}}], set()) == origins_after(envelope, envelope)

    def test_parts_stem_each_from_their_own(self):
        envelope = make_envelope(A, B)
        parts = [envelope.with_recipients([recipient]) for recipient in envelope.recipients]

        assert ([{A: {0}}, {B: {1}}], set()) == origins_after(envelope, *parts)

    def test_a_rewritten_address_is_known_by_its_original(self):
        envelope = make_envelope(A, B)
        after = envelope.with_recipients([rewritten(envelope.recipients[0], C), envelope.recipients[1]])

        assert ([{C: {0}, B: {1}}], set()) == origins_after(envelope, after)

    def test_one_that_becomes_two_is_the_origin_of_both(self):
        envelope = make_envelope(A)
        after = envelope.with_recipients([rewritten(envelope.recipients[0], address) for address in (B, C)])

        assert ([{B: {0}, C: {0}}], set()) == origins_after(envelope, after)

    def test_two_that_become_one_are_both_its_origins(self):
        """Duplicates are taken out afterwards: the one that stays answers for both."""
        envelope = make_envelope(A, B)
        after = envelope.with_recipients([rewritten(envelope.recipients[0], B), envelope.recipients[1]])

        lineages, _ = inherited(envelope, of_client(envelope.recipients), [after])

        (left,) = without_duplicates(after).recipients
        assert {0, 1} == set(lineages[0][key_of(left)])

    def test_a_policy_that_names_no_original_is_taken_to_have_rewritten_who_is_missing(self):
        envelope = make_envelope(A, B)
        after = envelope.with_recipients([attrs.evolve(envelope.recipients[0], address=C), envelope.recipients[1]])

        assert ([{C: {0}, B: {1}}], set()) == origins_after(envelope, after)

    def test_who_is_new_where_nobody_is_missing_has_no_origin(self):
        envelope = make_envelope(A)
        after = envelope.with_recipients([*envelope.recipients, Recipient(number=9, address=C)])

        assert ([{A: {0}, C: set()}], set()) == origins_after(envelope, after)

    def test_who_is_missing_where_nobody_is_new_was_left_out(self):
        envelope = make_envelope(A, B)

        assert ([{B: {1}}], {0}) == origins_after(envelope, envelope.with_recipients(envelope.recipients[1:]))

    def test_who_is_in_any_part_was_not_left_out(self):
        envelope = make_envelope(A, B)
        parts = [envelope, envelope.with_recipients(envelope.recipients[1:])]

        assert ([{A: {0}, B: {1}}, {B: {1}}], set()) == origins_after(envelope, *parts)

    def test_a_second_policy_that_names_the_last_address_loses_nobody(self):
        """`original_address` is what the client said; one that says what it found itself is understood too."""
        envelope = make_envelope(A)
        first = envelope.with_recipients([rewritten(envelope.recipients[0], B)])
        (lineage,), _ = inherited(envelope, of_client(envelope.recipients), [first])
        second = first.with_recipients([attrs.evolve(first.recipients[0], address=C, original_address=B)])

        (found,), _ = inherited(first, lineage, [second])

        assert [{0}] == [set(origins) for origins in found.values()]


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    client=st.lists(NAMES, min_size=1, max_size=5),
    steps=st.lists(
        st.lists(st.tuples(NAMES, st.one_of(st.none(), NAMES)), min_size=1, max_size=5), min_size=1, max_size=4
    ),
)
def test_nobodys_mail_goes_to_others_without_its_origin(client, steps):
    """Whatever policies do: either somebody has been left out, or they are among the origins of somebody."""
    envelope = make_envelope(*(f"{name}@example.test" for name in client))
    lineage, gone = of_client(envelope.recipients), set()
    envelope = without_duplicates(envelope)
    for step in steps:
        recipients = [
            Recipient(number=0, address=f"{name}@example.test", original_address=f"{old}@example.test" if old else "")
            for name, old in step
        ]
        after = envelope.with_recipients(recipients)
        (lineage,), left_out = inherited(envelope, lineage, [after])
        gone |= left_out
        envelope = without_duplicates(after)

    assert set(range(len(client))) == gone.union(*lineage.values())
