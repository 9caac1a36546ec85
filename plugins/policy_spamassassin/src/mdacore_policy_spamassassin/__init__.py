"""The SpamAssassin policy: spamd's verdict on top of each message. Offers the kind ``spamassassin``."""

from __future__ import annotations

from collections.abc import Iterable

from mdacore import Context, Provider, hookimpl
from mdacore_policy_spamassassin.config import SpamAssassinConfig, check
from mdacore_policy_spamassassin.policy import SpamAssassinPolicy

__all__ = ["SpamAssassinConfig", "SpamAssassinPolicy", "mdacore_policies"]


@hookimpl
def mdacore_policies() -> Iterable[Provider[SpamAssassinConfig, Context, SpamAssassinPolicy]]:
    """One kind, which is the default."""
    yield Provider(
        kind="spamassassin", config=SpamAssassinConfig, build=SpamAssassinPolicy, api=1, default=True, check=check
    )
