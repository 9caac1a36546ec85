"""MaildirRelay keeps every rule of the relay contract."""

from __future__ import annotations

from collections.abc import Sequence

from mdacore import Context, Relay
from mdacore.testing.relay_contract import DeliveringRelayContract
from mdacore_relay_maildir import MaildirConfig, MaildirRelay


class TestMaildirRelay(DeliveringRelayContract):
    def make_relay(self, context: Context) -> Relay:
        return MaildirRelay(MaildirConfig(), context)

    def delivered(self, context: Context, address: str) -> Sequence[bytes]:
        local, _, domain = address.partition("@")
        return [file.read_bytes() for file in (context.state_path / "maildirs" / domain / local / "new").glob("*")]
