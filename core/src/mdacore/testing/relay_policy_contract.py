"""The contract suite for policies that take part before each attempt: a class of tests to inherit. Needs pytest.

    class TestMyPolicy(RelayPolicyContract):
        def make_policy(self, context):
            return MyPolicy(MyConfig(at="relay"), context)

Each test is one rule of `mdacore.contracts.policy.RelayPolicy`. Not tested: that its changes are not persisted, which
is the queue's promise to the policy.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mdacore.testing.messages import make_attempt
from mdacore.testing.policy_contract import EnvelopePolicyContract
from mdacore.words import Envelope, Recipient


class RelayPolicyContract(EnvelopePolicyContract):
    """What every relay policy keeps. Inherit, and give `make_policy`."""

    def apply(self, envelope: Envelope) -> Sequence[Envelope]:
        assert self.parts.relay_policy is not None, "it takes no part before an attempt"
        return (self.parts.relay_policy(envelope, make_attempt()),)

    def test_the_result_is_one_envelope(self) -> None:
        """Neither None nor a list of parts: an attempt sends one message."""
        for result in self._outcome(self._envelope()):
            assert Envelope is type(result)

    def test_recipients_are_the_same_by_number(self) -> None:
        """The relay's replies are recorded by these numbers, which need not be 0, 1, 2."""
        recipients = tuple(Recipient(number=number, address=f"r{number}@example.test") for number in (1, 4, 7))
        envelope = attrs.evolve(self._envelope(), recipients=recipients)

        for result in self._outcome(envelope):
            assert [1, 4, 7] == sorted(recipient.number for recipient in result.recipients)
