"""HeadersPolicy keeps every rule of the queue policy contract."""

from __future__ import annotations

from mdacore import Context, Policy
from mdacore.testing.queue_policy_contract import QueuePolicyContract
from mdacore_policy_headers import HeadersConfig, HeadersPolicy


class TestHeadersPolicy(QueuePolicyContract):
    def make_policy(self, context: Context) -> Policy:
        return HeadersPolicy(HeadersConfig(), context)
