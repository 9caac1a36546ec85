"""The maildir relay: final delivery into maildirs, without an external program. Offers the kind ``maildir``."""

from __future__ import annotations

from collections.abc import Iterable

from mdacore import Context, Provider, hookimpl
from mdacore_relay_maildir.config import MaildirConfig, check
from mdacore_relay_maildir.relay import MaildirRelay

__all__ = ["MaildirConfig", "MaildirRelay", "mdacore_relays"]


@hookimpl
def mdacore_relays() -> Iterable[Provider[MaildirConfig, Context, MaildirRelay]]:
    """One kind, which is the default."""
    yield Provider(kind="maildir", config=MaildirConfig, build=MaildirRelay, api=1, default=True, check=check)
