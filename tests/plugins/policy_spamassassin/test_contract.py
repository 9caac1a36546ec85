"""SpamAssassinPolicy keeps every rule of both its places, whatever spamd does."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from mdacore import Context, Policy
from mdacore.testing.queue_policy_contract import QueuePolicyContract
from mdacore.testing.relay_policy_contract import RelayPolicyContract
from mdacore_policy_spamassassin import SpamAssassinConfig, SpamAssassinPolicy


class WithSpamd:
    """A spamd that answers after a moment, so that many scans are under way at once and can be struck."""

    @pytest.fixture(autouse=True)
    def spamd(self, fake: Any) -> None:
        def answer_slowly(connection: Any) -> None:
            gevent.sleep(0.01)
            fake.read_and_answer(connection)

        fake.script = answer_slowly
        self.address_of_spamd = fake.listen()


class TestBeforeStorage(WithSpamd, QueuePolicyContract):
    def make_policy(self, context: Context) -> Policy:
        return SpamAssassinPolicy(SpamAssassinConfig(address=self.address_of_spamd), context)


class TestBeforeEachAttempt(WithSpamd, RelayPolicyContract):
    def make_policy(self, context: Context) -> Policy:
        return SpamAssassinPolicy(SpamAssassinConfig(address=self.address_of_spamd, at="relay"), context)


class TestWithoutSpamd(QueuePolicyContract):
    @pytest.fixture(autouse=True)
    def nowhere(self, dead_address: str) -> None:
        self.address_of_spamd = dead_address

    def make_policy(self, context: Context) -> Policy:
        config = SpamAssassinConfig(address=self.address_of_spamd, tag_failures=True)
        return SpamAssassinPolicy(config, context)
