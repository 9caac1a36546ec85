"""MaildirRelay keeps every rule of the relay contract, with folders that stay open and without."""

from __future__ import annotations

from collections.abc import Sequence

from mdacore import Context, Relay
from mdacore.testing.relay_contract import DeliveringRelayContract
from mdacore_relay_maildir import MaildirConfig, MaildirRelay


class TestMaildirRelay(DeliveringRelayContract):
    """After the suite's first attempts these maildirs are open, and are no leak of later ones.

    Nor is a thread that a slow disk calls for, which only one worker keeps from looking like one.
    """

    addresses = ("bob@example.test", "carol@example.test")
    open_maildirs = MaildirConfig().open_maildirs

    def make_relay(self, context: Context) -> Relay:
        return MaildirRelay(MaildirConfig(open_maildirs=self.open_maildirs, workers=1), context)

    def delivered(self, context: Context, address: str) -> Sequence[bytes]:
        local, _, domain = address.partition("@")
        return [file.read_bytes() for file in (context.state_path / "maildirs" / domain / local / "new").glob("*")]


class TestMaildirRelayThatKeepsNoFolderOpen(TestMaildirRelay):
    addresses = DeliveringRelayContract.addresses
    open_maildirs = 0
