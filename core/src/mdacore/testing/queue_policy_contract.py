"""The contract suite for policies that take part before a message is stored: a class of tests to inherit. Needs pytest.

    class TestMyPolicy(QueuePolicyContract):
        def make_policy(self, context):
            return MyPolicy(MyConfig(), context)

Each test is one rule of `mdacore.contracts.policy.QueuePolicy`. Not tested: recipients' numbers, since the queue gives
new ones after each queue policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdacore.testing.policy_contract import VERDICTS, EnvelopePolicyContract
from mdacore.words import Envelope, Recipient


class QueuePolicyContract(EnvelopePolicyContract):
    """What every queue policy keeps. Inherit, and give `make_policy`."""

    changes_recipients = False
    """Say True if adding, dropping or rewriting recipients is what the policy is for."""

    def apply(self, envelope: Envelope) -> Sequence[Envelope]:
        assert self.parts.queue_policy is not None, "it takes no part before the message is stored"
        return self.parts.queue_policy(envelope)

    def test_the_result_is_a_list_or_tuple_of_envelopes_and_not_empty(self) -> None:
        """None, an empty result and anything that is not an Envelope are faults; to drop a message is a Discard."""
        try:
            result: object = self.apply(self._envelope())
        except VERDICTS:
            return

        assert isinstance(result, list | tuple)
        assert [Envelope] * max(1, len(result)) == [type(part) for part in result]

    def test_no_recipient_is_lost_or_doubled(self) -> None:
        """Over all parts each recipient is there once, as it was, unless changing that is what the policy is for."""
        envelope = self._envelope()

        parts = self._outcome(envelope)

        after = sorted(_facts(recipient) for part in parts for recipient in part.recipients)
        assert self.changes_recipients or not parts or sorted(map(_facts, envelope.recipients)) == after


def _facts(recipient: Recipient) -> tuple[str, tuple[str, ...], str]:
    """A recipient without its number."""
    return recipient.address, recipient.notify, recipient.orcpt
